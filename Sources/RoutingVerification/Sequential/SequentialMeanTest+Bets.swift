import CStandardLibrary

extension SequentialMeanTest.Lanes {
  /// Books a block's products and sums.
  ///
  /// - Parameters:
  ///   - samples: the block's length.
  ///   - before: the number of samples before the block.
  func closeBlock(samples: Int, before: Int) {
    let (n, past) = (Double(samples), Double(before))
    for j in 0..<coordinates {
      for bet in Bet.allCases {
        self[.capital0, bet, j] += log(self[.product0, bet, j])
        self[.product0, bet, j] = 1
      }
      let (sum, squareSum, pivot) = (self[.sum, j], self[.squareSum, j], self[.pivot, j])
      self[.sum, j] = 0
      self[.squareSum, j] = 0

      // The confidence sequence, with λ and the mean of before the block.
      let range = self[.upper, j] - self[.lower, j]
      let stake = self[.intervalStake, j]
      if range > 0 {
        self[.intervalStakes, j] += n * stake
        self[.intervalSum, j] += stake * (sum + n * pivot)
        self[.intervalVariance, j] += (-log1p(-stake) - stake) * (squareSum / range / range)
      }

      // Means and squares of two sets of samples, put together.
      let shift = pivot + sum / n - self[.mean, j]
      self[.mean, j] += shift * (n / (past + n))
      self[.squares, j] += max(squareSum - sum * sum / n, 0) + shift * shift * (past * n / (past + n))
    }
  }

  /// Makes the bets of the next block from the samples so far.
  ///
  /// Mean and variance are shrunk, as if one sample of the claimed mean and of the variance R²/4 had come before: at first
  /// stakes are small, and an outlier is believed in until many samples speak against it.
  ///
  /// - Returns: the largest number of bits by which a factor can change a product.
  func makeBets(samples: Int) -> Double {
    let n = Double(samples)
    let gap = bias - tolerance
    var growth = 1.0
    for j in 0..<coordinates {
      let (lower, upper) = (self[.lower, j], self[.upper, j])
      let range = upper - lower
      self[.pivot, j] = self[.mean, j]
      guard range > 0 else { continue }
      let mean = self[.mean, j] * (n / (n + 1))
      let variance = (self[.squares, j] + range * range / 4) / (n + 1)

      /// Sets a bet on d lying above (`sign` 1) or below (−1) `threshold`, with as much as `edge` calls for.
      func bet(_ bet: Bet, sign: Double, threshold: Double, edge: Double) {
        // A sample may take at most half of the capital; where d can hardly lie on the wrong side, bets are large.
        let worst = max(sign > 0 ? threshold - lower : upper - threshold, 1e-12 * range)
        let best = sign > 0 ? upper - threshold : threshold - lower
        let wanted = edge > 0 ? edge / (variance + edge * edge) : 0
        let stake = min(wanted, SequentialMeanTest.largestLoss / worst)
        self[.stake0, bet, j] = sign * stake
        self[.offset0, bet, j] = 1 - sign * stake * threshold
        growth = max(growth, log2(1 + stake * max(best, 0)))
      }
      bet(.aboveDesign, sign: 1, threshold: tolerance, edge: gap)
      bet(.belowDesign, sign: -1, threshold: -tolerance, edge: gap)
      bet(.aboveAdaptive, sign: 1, threshold: tolerance, edge: mean - tolerance)
      bet(.belowAdaptive, sign: -1, threshold: -tolerance, edge: -tolerance - mean)
      if upper >= bias { bet(.notAboveBias, sign: -1, threshold: bias, edge: gap) }
      if lower <= -bias { bet(.notBelowBias, sign: 1, threshold: -bias, edge: gap) }

      let scaled = variance / range / range
      let stake = (2 * intervalDepth / (scaled * (n + 1) * log(n + 2))).squareRoot()
      self[.intervalStake, j] = min(stake, SequentialMeanTest.largestLoss)
    }
    return growth
  }

  /// The logarithm of the average capital of the four bets of every coordinate.
  func logEValue() -> Double {
    var largest = -Double.infinity
    for j in 0..<coordinates { largest = max(largest, largestCapital(j)) }
    guard largest > -.infinity else { return largest }
    var sum = 0.0
    for j in 0..<coordinates { for bet in Bet.refuting { sum += exp(self[.capital0, bet, j] - largest) } }
    return largest + log(sum / Double(4 * coordinates))
  }

  /// The logarithm of the largest capital of a coordinate's four bets.
  func largestCapital(_ j: Int) -> Double {
    Bet.refuting.reduce(-.infinity) { max($0, self[.capital0, $1, j]) }
  }

  /// Keeps in mind which of the two bets that let a coordinate pass have been won, and counts those that won both.
  func coordinatesPassed() -> Int {
    var passed = 0
    for j in 0..<coordinates {
      for bet in [Bet.notAboveBias, .notBelowBias] where self[.capital0, bet, j] >= passDepth {
        self[.capital0, bet, j] = .infinity
      }
      if self[.capital0, .notAboveBias, j] == .infinity, self[.capital0, .notBelowBias, j] == .infinity {
        passed += 1
      }
    }
    return passed
  }
}
