import CStandardLibrary
import RoutingCore
import RoutingEstimators

extension SequentialMeanTest {
  /// What is kept of each coordinate, four coordinates to a vector, all fields of one vector side by side.
  ///
  /// Everything is taken from the claimed mean: `d = x − μ`, so that no digits are lost where a range is small against the
  /// mean.
  struct Lanes: ~Copyable {
    typealias Vector = SIMD4<Double>

    /// A field of a coordinate. The first ones are what a sample needs.
    enum Field: Int, CaseIterable {
      /// μ, and the bounds of d, widened by ε.
      case target, lower, upper
      /// What the sums below are taken from: the mean of d at the block's beginning.
      case pivot
      /// Sums over the block of `d − pivot` and its square.
      case sum, squareSum
      /// λ with its sign, for the six bets; see ``Bet``.
      case stake0, stake1, stake2, stake3, stake4, stake5
      /// `1 − λ m`.
      case offset0, offset1, offset2, offset3, offset4, offset5
      /// The block's product of factors.
      case product0, product1, product2, product3, product4, product5
      /// The logarithms of capitals at the block's beginning.
      case capital0, capital1, capital2, capital3, capital4, capital5
      /// Mean and sum of squared deviations of d over all samples up to the block.
      case mean, squares
      /// `Σ λ`, `Σ λ d`, `Σ 4 (d − d̄)² ψ(λ)/R²` of the confidence sequence, and its λ.
      case intervalStakes, intervalSum, intervalVariance, intervalStake
    }

    /// The six bets: on d above ε and on d below −ε, each in two ways, and the two that let a coordinate pass.
    enum Bet: Int, CaseIterable {
      case aboveDesign, aboveAdaptive, belowDesign, belowAdaptive, notAboveBias, notBelowBias

      /// Those that refute.
      static let refuting: [Bet] = [.aboveDesign, .aboveAdaptive, .belowDesign, .belowAdaptive]
    }

    let coordinates: Int
    let tolerance: Double
    let bias: Double
    /// `log(2/β)`.
    let passDepth: Double
    /// `log(2N/β)`.
    let intervalDepth: Double
    private let vectors: Int
    private let storage: UnsafeMutablePointer<Vector>
    /// The rows' last coordinates, filled up to a vector.
    private let tail: UnsafeMutablePointer<Double>

    static let fields = Field.allCases.count

    init(mean: [Double], bounds: SampleBounds, tolerance: Double, bias: Double, rates: ErrorRates) {
      coordinates = mean.count
      self.tolerance = tolerance
      self.bias = bias
      passDepth = log(2 / rates.falsePass)
      intervalDepth = log(2 * Double(mean.count) / rates.falsePass)
      vectors = (mean.count + 3) / 4
      storage = .allocate(capacity: vectors * Self.fields)
      storage.initialize(repeating: Vector(repeating: 0), count: vectors * Self.fields)
      tail = .allocate(capacity: 4)
      tail.initialize(repeating: 0, count: 4)
      for v in 0..<vectors {
        // Nothing is staked: every factor is 1.
        for field in Field.offset0.rawValue...Field.product5.rawValue {
          storage[v * Self.fields + field] = Vector(repeating: 1)
        }
      }
      for j in 0..<mean.count {
        self[.target, j] = mean[j]
        self[.lower, j] = bounds.lower[j] - mean[j] - tolerance
        self[.upper, j] = bounds.upper[j] - mean[j] + tolerance
        // Means that the bounds exclude need no evidence.
        if self[.upper, j] < bias { self[.capital4, j] = .infinity }
        if self[.lower, j] > -bias { self[.capital5, j] = .infinity }
      }
    }

    deinit {
      storage.deallocate()
      tail.deallocate()
    }

    /// A coordinate's field.
    subscript(field: Field, j: Int) -> Double {
      get { storage[(j >> 2) * Self.fields + field.rawValue][j & 3] }
      nonmutating set { storage[(j >> 2) * Self.fields + field.rawValue][j & 3] = newValue }
    }

    subscript(field: Field, bet: Bet, j: Int) -> Double {
      get { storage[(j >> 2) * Self.fields + field.rawValue + bet.rawValue][j & 3] }
      nonmutating set { storage[(j >> 2) * Self.fields + field.rawValue + bet.rawValue][j & 3] = newValue }
    }
  }
}

// MARK: - Samples

extension SequentialMeanTest.Lanes {
  /// Multiplies the capitals by the factors of some samples.
  ///
  /// - Returns: the first sample outside of the bounds (NaN is), if there is one; sums and products are spoilt then.
  func add(
    _ rows: UnsafePointer<Double>, samples: Int
  ) -> (sample: Int, coordinate: Int, value: Double)? {
    var isInside = true
    for v in 0..<vectors {
      let width = min(4, coordinates - 4 * v)
      let state = storage + v * Self.fields
      isInside =
        (width == 4
          ? add(rows + 4 * v, samples: samples, state: state) { UnsafeRawPointer($0).loadUnaligned(as: Vector.self) }
          : add(rows + 4 * v, samples: samples, state: state) { row in
            for k in 0..<width { tail[k] = row[k] }
            return UnsafeRawPointer(tail).loadUnaligned(as: Vector.self)
          }) && isInside
    }
    return isInside ? nil : firstOutside(rows, samples: samples)
  }

  @inline(__always)
  private func add(
    _ rows: UnsafePointer<Double>, samples: Int, state: UnsafeMutablePointer<Vector>,
    load: (UnsafePointer<Double>) -> Vector
  ) -> Bool {
    func field(_ field: Field) -> Vector { state[field.rawValue] }
    let (target, lower, upper, pivot) = (field(.target), field(.lower), field(.upper), field(.pivot))
    let (l0, l1, l2) = (field(.stake0), field(.stake1), field(.stake2))
    let (l3, l4, l5) = (field(.stake3), field(.stake4), field(.stake5))
    let (k0, k1, k2) = (field(.offset0), field(.offset1), field(.offset2))
    let (k3, k4, k5) = (field(.offset3), field(.offset4), field(.offset5))
    var (q0, q1, q2) = (field(.product0), field(.product1), field(.product2))
    var (q3, q4, q5) = (field(.product3), field(.product4), field(.product5))
    var (sum, squares) = (field(.sum), field(.squareSum))
    var inside = SIMDMask<SIMD4<Int64>>(repeating: true)
    var row = rows
    for _ in 0..<samples {
      let d = load(row) - target
      row += coordinates
      inside .&= (d .>= lower) .& (d .<= upper)
      q0 *= k0 + l0 * d
      q1 *= k1 + l1 * d
      q2 *= k2 + l2 * d
      q3 *= k3 + l3 * d
      q4 *= k4 + l4 * d
      q5 *= k5 + l5 * d
      let e = d - pivot
      sum += e
      squares += e * e
    }
    state[Field.product0.rawValue] = q0
    state[Field.product1.rawValue] = q1
    state[Field.product2.rawValue] = q2
    state[Field.product3.rawValue] = q3
    state[Field.product4.rawValue] = q4
    state[Field.product5.rawValue] = q5
    state[Field.sum.rawValue] = sum
    state[Field.squareSum.rawValue] = squares
    return all(inside)
  }

  private func firstOutside(
    _ rows: UnsafePointer<Double>, samples: Int
  ) -> (sample: Int, coordinate: Int, value: Double)? {
    for sample in 0..<samples {
      for j in 0..<coordinates {
        let value = rows[sample * coordinates + j]
        let d = value - self[.target, j]
        if !(d >= self[.lower, j] && d <= self[.upper, j]) { return (sample, j, value) }
      }
    }
    return nil
  }
}
