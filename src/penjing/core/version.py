"""Which Penjing this is: what ``penjing.__version__`` and every server's description of itself say."""

__version__ = "0.1.0"
