"""Who may do what: API keys and their scopes, the permit of a request, what is written down of it.

Knows no protocol and no model: verbs, names, and patterns of names. Whoever serves says what a route needs.
"""
