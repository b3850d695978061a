// The audit of whole layers.
