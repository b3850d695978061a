import RoutingCore
import Testing
import _TestSupport

@testable import RouterTraining

struct HeadLossTests {
  private static func loss(_ kind: MixtureTask.Kind) -> HeadLoss {
    var random = TestSeed.generator("head loss")
    return HeadLoss(
      kind: kind, residual: random.normals(5),
      weights: Matrix(rows: (0..<3).map { _ in random.normals(5) }, columns: 5),
      biases: random.normals(3), targets: random.normals(3), label: 1)
  }

  /// Central differences with step 1e-5 leave 1e-10.
  @Test(.seeded, arguments: MixtureTask.Kind.allCases)
  func gradientsAreThoseOfDifferences(kind: MixtureTask.Kind) {
    let loss = Self.loss(kind)
    let y = [0.3, -0.2, 0.5, 0.1, -0.4]
    let gradient = loss.gradient(at: y)
    for j in y.indices {
      var (above, below) = (y, y)
      above[j] += 1e-5
      below[j] -= 1e-5
      expectClose((loss.value(at: above) - loss.value(at: below)) / 2e-5, gradient[j], within: 1e-8)
    }
  }

  /// `Σ w G(s y)`.
  @Test(.seeded, arguments: MixtureTask.Kind.allCases)
  func combinationsAreSums(kind: MixtureTask.Kind) {
    let loss = Self.loss(kind)
    let combined = CombinedLoss(base: loss, terms: [(1, 1), (2, 0.5)])
    let y = [0.3, -0.2, 0.5, 0.1, -0.4]
    let half = y.map { 0.5 * $0 }
    expectClose(combined.value(at: y), loss.value(at: y) + 2 * loss.value(at: half), within: 1e-12)
    let expected = zip(loss.gradient(at: y), loss.gradient(at: half)).map { $0 + $1 }
    expectClose(combined.gradient(at: y), expected, relative: 1e-12)
  }
}
