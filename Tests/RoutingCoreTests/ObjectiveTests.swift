import CStandardLibrary
import Testing
import _TestSupport

@testable import RoutingCore

/// Values and gradients that can be worked out by hand. Gradients against numerical derivatives of random
/// objectives stand in RoutingExpectationsTests, which may use GSL.
@Suite(.seeded) struct ObjectiveTests {
  @Test func linear() throws {
    let f = try Linear(coefficients: [1, -2, 0.5])
    #expect(f.dimension == 3)
    #expect(f.value(at: [4, 1, 2]) == 3)
    #expect(f.gradient(at: [9, 9, 9]) == [1, -2, 0.5])
  }

  @Test func quadratic() throws {
    let f = try Quadratic(matrix: [[2, 1], [1, -4]], linear: [3, 0.5])
    // z = (2, −1): ½(2·4 + 2·(−2) − 4) = 0, and b·z = 5.5.
    #expect(f.value(at: [2, -1]) == 5.5)
    #expect(f.gradient(at: [2, -1]) == [6, 6.5])
    #expect(f.value(at: [0, 0]) == 0)
  }

  /// ½ zᵀAz knows A's symmetric part only: whatever is antisymmetric, a rounding of `A @ A.T` included, is nothing.
  @Test func quadraticOfAnySquareMatrix() throws {
    let symmetric = try Quadratic(matrix: [[2, 1], [1, -4]], linear: [3, 0.5])
    let skew = try Quadratic(matrix: [[2, 6], [-4, -4]], linear: [3, 0.5])
    #expect(skew.matrix == symmetric.matrix)
    #expect(skew.value(at: [2, -1]) == 5.5 && skew.gradient(at: [2, -1]) == [6, 6.5])
    let rounded = try Quadratic(matrix: [[1, 0.30000000000000004], [0.3, 2]], linear: [0, 0])
    #expect(rounded.matrix[0][1] == rounded.matrix[1][0])
    #expect((0.3...0.30000000000000004).contains(rounded.matrix[0][1]))
    // Neither the sum nor the halves leave Float64.
    let largest = Double.greatestFiniteMagnitude
    let huge = try Quadratic(matrix: [[0, largest], [largest / 2, 0]], linear: [0, 0])
    #expect(huge.matrix == [[0, 0.75 * largest], [0.75 * largest, 0]])
    let opposite = try Quadratic(matrix: [[0, largest], [-largest, 0]], linear: [0, 0])
    #expect(opposite.matrix == [[0, 0], [0, 0]])
    let least = Double.leastNonzeroMagnitude
    #expect(
      try Quadratic(matrix: [[least, 3 * least], [least, 0]], linear: [0, 0]).matrix[0] == [least, 2 * least])
  }

  @Test func separablePower() throws {
    let f = try SeparablePower(exponent: 3, targets: [1, -2], weights: [2, 0.5])
    #expect(f.value(at: [3, 0]) == 2 * 8 + 0.5 * 8)
    #expect(f.gradient(at: [3, 0]) == [24, 6])
    #expect(f.gradient(at: [-1, -4]) == [-24, -6])
    #expect(f.value(at: [1, -2]) == 0 && f.gradient(at: [1, -2]) == [0, 0])
    let steep = try SeparablePower(exponent: 1.5, targets: [0.25])
    #expect(steep.weights == [1])
    #expect(steep.value(at: [4.25]) == 8 && steep.gradient(at: [4.25]) == [3])
    #expect(steep.gradient(at: [0.25]) == [0])
  }

  @Test func zeroWeightHidesOverflow() throws {
    let f = try SeparablePower(exponent: 4, targets: [0, 0], weights: [0, 1])
    #expect(f.value(at: [1e200, 2]) == 16)
    #expect(f.gradient(at: [1e200, 2]) == [0, 32])
  }

  @Test func polynomial() throws {
    let f = try Polynomial(coefficients: [1, -2, 0, 3], direction: [2, -1])
    // x = 2·1 − 1·½ = 1.5: 1 − 3 + 3·3.375, and the slope −2 + 9·2.25.
    #expect(f.value(at: [1, 0.5]) == 8.125)
    #expect(f.gradient(at: [1, 0.5]) == [36.5, -18.25])
    let constant = try Polynomial(coefficients: [7], direction: [1])
    #expect(constant.value(at: [5]) == 7 && constant.gradient(at: [5]) == [0])
  }

  @Test func crossEntropyOfAFairClassifier() throws {
    let f = try SoftmaxCrossEntropy(weights: [[1, 0], [0, 1]], biases: [0, 0], label: 0)
    expectClose(f.value(at: [3, 3]), log(2), ulps: 1)
    #expect(f.gradient(at: [3, 3]) == [-0.5, 0.5])
  }

  @Test func crossEntropyOfOneClass() throws {
    let f = try SoftmaxCrossEntropy(weights: [[1, 2]], biases: [5], label: 0)
    #expect(f.value(at: [1, 1]) == 0 && f.gradient(at: [1, 1]) == [0, 0])
  }

  @Test func crossEntropyOfACertainClassifier() throws {
    // log(1 + e^{−800}) underflows gradually, the other class's loss is the difference of the scores.
    let right = try SoftmaxCrossEntropy(weights: [[700], [0]], biases: [0, 0], label: 0)
    expectClose(right.value(at: [1]), exp(-700), ulps: 1)
    expectClose(right.gradient(at: [1])[0], -700 * exp(-700), ulps: 2)
    let wrong = try SoftmaxCrossEntropy(weights: [[800], [0]], biases: [0, 0], label: 1)
    #expect(wrong.value(at: [1]) == 800 && wrong.gradient(at: [1]) == [800])
  }

  @Test func crossEntropyAgreesWithHighPrecision() throws {
    let references = try SpecialValues.shared.get().crossEntropy
    #expect(references.count == 12)
    for reference in references {
      let f = try reference.loss.objective()
      // A score's rounding error is an absolute error of the value, and a relative one of every probability.
      let scores = 8 * Double.ulpOfOne * (1 + reference.scoreSize)
      let value = reference.value.value
      expectClose(
        f.value(at: reference.point), value, within: scores * max(value, .leastNormalMagnitude),
        "\(reference)")
      expectClose(
        f.gradient(at: reference.point), reference.gradient.values, relative: scores, "\(reference)")
    }
  }

  @Test(arguments: ProblemMaker.objectives)
  func raysAreValuesAndSlopes(_ type: String) throws {
    var maker = ProblemMaker("rays of \(type)")
    let objective = try maker.objective(type, dimension: 3)
    let bundle = RayBundle(
      directions: maker.generator.normals(4 * 3), multipliers: [0.4, 0.3, 0.2, 0], nodes: [1, 0.5, 0])
    let samples = objective.rays(bundle)
    #expect(samples.values.count == 4 && samples.slopes.count == 12)
    for i in 0..<4 {
      let direction = Array(bundle.directions[3 * i..<3 * i + 3])
      expectClose(
        samples.values[i], objective.value(at: direction.map { bundle.multipliers[i] * $0 }), within: 1e-14)
      for (k, node) in bundle.nodes.enumerated() {
        let gradient = objective.gradient(at: direction.map { node * bundle.multipliers[i] * $0 })
        expectClose(samples.slopes(atNode: k)[4 * k + i], dot(gradient, direction), within: 1e-13)
      }
    }
  }

  @Test func bundlesAreRectangular() async {
    await #expect(processExitsWith: .failure) {
      _ = RayBundle(directions: [1, 2, 3], multipliers: [1, 1], nodes: [])
    }
    await #expect(processExitsWith: .failure) { _ = RayBundle(directions: [], multipliers: [], nodes: [1]) }
  }
}
