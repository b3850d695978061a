import RoutingCore
import Testing

/// What is refused, and the words for it.
@Suite struct InvalidInputTests {
  private func message(_ body: () throws -> Void) -> String? {
    do { try body() } catch { return "\(error)" }
    return nil
  }

  @Test func description() {
    #expect(
      InvalidInput("loss.scales[1]", "expected a number").description == "loss.scales[1]: expected a number")
    #expect(InvalidInput("", "expected a problem").description == "expected a problem")
    #expect(InvalidInput("scales[1]", "x").inside("loss").path == "loss.scales[1]")
    #expect(InvalidInput("", "x").inside("loss").path == "loss")
  }

  @Test func objectives() {
    #expect(
      message { _ = try Linear(coefficients: [1, .nan]) }
        == "coefficients[1]: expected a finite number, got nan")
    #expect(
      message { _ = try Quadratic(matrix: [[1, 2]], linear: [0, 0]) } == "matrix: expected 2 rows, got 1")
    #expect(
      message { _ = try Quadratic(matrix: [[1], [2, 3]], linear: [0, 0]) }
        == "matrix[0]: expected 2 numbers, got 1")
    #expect(
      message { _ = try SeparablePower(exponent: 1, targets: [0]) }
        == "exponent: expected a finite number above 1, got 1.0")
    #expect(message { _ = try SeparablePower(exponent: .infinity, targets: [0]) } != nil)
    #expect(
      message { _ = try SeparablePower(exponent: 2, targets: [0], weights: [1, 2]) }
        == "weights: expected 1 numbers, got 2")
    #expect(
      message { _ = try LogCosh(scales: [1, 2], targets: [1]) } == "targets: expected 2 numbers, got 1")
    #expect(
      message { _ = try LogCosh(scales: [1, -.infinity], targets: [1, 1]) }
        == "scales[1]: expected a finite number, got -inf")
    #expect(
      message { _ = try SoftmaxCrossEntropy(weights: [], biases: [], label: 0) }
        == "weights: expected at least one row, got none")
    #expect(
      message { _ = try SoftmaxCrossEntropy(weights: [[1, 2], [1]], biases: [0, 0], label: 0) }
        == "weights[1]: expected 2 numbers, got 1")
    #expect(
      message { _ = try SoftmaxCrossEntropy(weights: [[1]], biases: [0], label: 1) }
        == "label: expected a class from 0 to 0, got 1")
    #expect(
      message { _ = try Polynomial(coefficients: [], direction: [1]) }
        == "coefficients: expected at least one number, got none")
  }

  @Test func routers() throws {
    #expect(
      message { _ = try RouterInput(weights: [[1, 2], [1]], input: [1, 2]) }
        == "weight[1]: expected 2 numbers, got 1")
    #expect(
      message { _ = try RouterInput(weights: [], input: [1, 2]) } == "weight: expected at least one row, got none")
    #expect(
      message { _ = try RouterInput(weights: [[.nan]], input: [1]) }
        == "weight[0][0]: expected a finite number, got nan")
    #expect(
      message { _ = try RouterInput(weights: [[1]], biases: [1, 2], input: [1]) }
        == "bias: expected 1 numbers, got 2")
    let loss = try LogCosh(scales: [1], targets: [0])
    func problem(_ logits: [Double]) throws {
      let router = try RouterInput(weights: [[1, 0.5], [0.25, 1]], biases: [0, 0.1], input: [0.5, 0.75])
      _ = try MixtureProblem(logits: logits, expertOutputs: logits.map { [$0] }, router: router, loss: loss)
    }
    #expect(message { try problem([0.875, 0.975]) } == nil)
    #expect(message { try problem([Double(Float(0.875)), Double(Float(0.975))]) } == nil)
    #expect(
      message { try problem([0.874, 0.975]) }
        == "router: expected weight·input + bias to give logits[0] = 0.874, got 0.875")
    #expect(message { try problem([0.875]) } == "router.weight: expected 1 rows, got 2")
  }

  @Test func categoricalProblems() throws {
    let objective = try Linear(coefficients: [1, 2])
    #expect(
      message { _ = try CategoricalProblem(logits: [], objective: objective) }
        == "logits: expected at least one number, got none")
    #expect(
      message { _ = try CategoricalProblem(logits: [1, .infinity], objective: objective) }
        == "logits[1]: expected a finite number, got inf")
    #expect(
      message { _ = try CategoricalProblem(logits: [1], objective: objective) }
        == "objective: expected a function of 1 variables (one per logit), got 2")
    #expect(
      message {
        _ = try CategoricalProblem(
          logits: [1, 2], source: .table(values: [1], gradients: [[1, 2], [3, 4]]))
      } == "objective.values: expected 2 numbers, got 1")
    #expect(
      message {
        _ = try CategoricalProblem(
          logits: [1, 2], source: .table(values: [1, 2], gradients: [[1, 2], [3]]))
      } == "objective.gradients[1]: expected 2 numbers, got 1")
  }

  @Test func mixtureProblems() throws {
    let loss = try Linear(coefficients: [1, 2])
    func problem(
      logits: [Double] = [0, 1], outputs: [[Double]]? = [[1, 2], [3, 4]], scale: [Double]? = nil,
      defaults: [[Double]]? = nil
    ) throws {
      _ = try MixtureProblem(
        logits: logits, expertOutputs: outputs, scale: scale, standIns: defaults, source: .loss(loss))
    }
    #expect(message { try problem() } == nil)
    #expect(message { try problem(logits: []) } == "logits: expected at least one number, got none")
    #expect(message { try problem(outputs: nil) } == "expertOutputs: expected 2 rows, the field is missing")
    #expect(message { try problem(outputs: [[1, 2]]) } == "expertOutputs: expected 2 rows, got 1")
    #expect(
      message { try problem(outputs: [[1, 2], [3]]) } == "expertOutputs[1]: expected 2 numbers, got 1")
    #expect(
      message { try problem(outputs: [[1, 2], [3, .nan]]) }
        == "expertOutputs[1][1]: expected a finite number, got nan")
    #expect(message { try problem(scale: [1]) } == "scale: expected 2 numbers, got 1")
    #expect(message { try problem(defaults: [[1, 2]]) } == "defaultOutputs: expected 2 rows, got 1")
  }

  @Test func tables() throws {
    func problem(
      nodes: [Double] = [1, 0.5], values: [[Double]] = [[1, 2], [3, 4]],
      slopes: [[Double]] = [[1, 2], [3, 4]],
      zero: Double = 0
    ) throws {
      _ = try MixtureProblem(
        logits: [0, 1], expertOutputs: nil,
        source: .table(
          MixtureTable(nodes: nodes, values: values, slopes: slopes, valueAtZero: zero, mask: .none)))
    }
    #expect(message { try problem() } == nil)
    #expect(message { try problem(values: [[1, 2]]) } == "loss.values: expected 2 rows, got 1")
    #expect(message { try problem(slopes: [[1, 2], [3]]) } == "loss.slopes[1]: expected 2 numbers, got 1")
    #expect(
      message { try problem(nodes: [1, 1 + 1e-13]) }?.hasPrefix("loss.nodes[1]: expected distinct nodes")
        == true)
    #expect(message { try problem(nodes: [1, .nan]) } == "loss.nodes[1]: expected a finite number, got nan")
    #expect(message { try problem(zero: .nan) }?.hasPrefix("loss.valueAtZero") == true)
  }

  @Test func masks() throws {
    let categorical = RoutingProblem.categorical(
      try CategoricalProblem(logits: [0, 1], objective: try Linear(coefficients: [1, 2])))
    #expect(
      message { _ = try RoutedProblem(categorical, mask: .paper(threshold: 0.1)) }
        == "mask: a categorical problem takes no mask, got paper")
    let table = MixtureTable(
      nodes: [1], values: [[1], [2]], slopes: [[1], [2]], valueAtZero: 0, mask: .paper(threshold: 0.2))
    let tabulated = RoutingProblem.mixture(
      try MixtureProblem(logits: [0, 1], expertOutputs: nil, source: .table(table)))
    #expect(tabulated.fixedMask == .paper(threshold: 0.2))
    #expect(message { _ = try RoutedProblem(tabulated, mask: .paper(threshold: 0.2)) } == nil)
    #expect(
      message { _ = try RoutedProblem(tabulated) }?.hasPrefix("mask: the loss was tabulated under") == true)
  }
}
