"""What fine-tuning added, Δθ = θ_t − θ_p, as files: with the digest of θ_p, and without a copy of it."""
