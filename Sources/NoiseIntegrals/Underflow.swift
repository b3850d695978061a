import CStandardLibrary

/// What exponentials below Float64's range may cost an integral.
enum Underflow {
  /// A bound on what is lost of a quantity of size `e^x`, times a factor, where it is summed from terms of which some are subnormal
  /// or 0: nothing while the quantity is far above the smallest normal number; else all of it, but no more than a few thousand
  /// nodes that are each off by half of the smallest number.
  ///
  /// *Edge cases*: what stays below the smallest normal number with its factor is not counted as lost, because Float64 could
  /// not say it better; masks of logits (-1e9, say) cost nothing.
  static func loss(ofLog x: Double, times factor: Double) -> Double {
    guard x < -690, factor > 0 else { return 0 }
    let whole = exp(x + log(factor))
    let loss = min(whole, 0x1p-1060 * factor)
    return loss < .leastNormalMagnitude ? 0 : loss
  }
}
