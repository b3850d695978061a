internal import CKernels

/// `p = softmax(logits)` and `q = 1 − p`; returns the first index of the largest logit.
func softmaxKernel(
  _ count: Int, _ logits: UnsafePointer<Double>, _ p: UnsafeMutablePointer<Double>, _ q: UnsafeMutablePointer<Double>
) -> Int { rg_softmax(count, logits, 1, p, q) }
