import MixtureOfExperts
import Testing

@testable import RouterTraining

/// The decoder-only network in Double against central differences, and what does not change its bytes.
struct LanguageNetworkTests {
  private static let lengths = [5, 3, 7]

  private static func network<S: TransformerScalar>(
    _ type: S.Type, dropout: Double = 0, expertsEvery: Int = 2, router: any TokenRouter = SwitchRouter()
  ) -> LanguageNetwork<S> {
    var shape = TransformerShape()
    (shape.width, shape.heads, shape.layers, shape.hidden, shape.experts) = (12, 3, 2, 10, 3)
    (shape.expertsEvery, shape.dropout, shape.scale, shape.zLoss) = (expertsEvery, dropout, true, 0.05)
    let network = LanguageNetwork<S>(shape, vocabulary: 11, context: 8, router: router, maximumSequences: 3)
    network.initialise(seed: 3)
    // Larger than what training begins with, so that attention is far from uniform and no gradient is small.
    for parameter in network.parameters {
      for i in 0..<parameter.value.count { parameter.value.elements[i] *= parameter.name == "tokens" ? 40 : 1.7 }
    }
    return network
  }

  private static let tokens: [Int32] = (0..<15).map { Int32(($0 * 7 + $0 * $0) % 11) }
  private static let targets: [Int32] = (0..<15).map { Int32(($0 * 5 + 3) % 11) }

  private static func run<S: TransformerScalar>(
    _ network: LanguageNetwork<S>, isTraining: Bool, threads: Int = 1
  ) throws -> Double {
    let result = try network.run(
      tokens, targets: targets, plan: SequencePlan(lengths: lengths), randomness: StepRandomness(seed: 5, step: 2),
      isTraining: isTraining, threads: threads)
    return result.loss + result.auxiliary
  }

  /// Six-point differences with step 1e-3 leave an error of order 1e-18 from truncation and 1e-12 from rounding, as long as neither
  /// a ReLU nor a choice of expert changes sides; the seed is one where none does.
  @Test(arguments: [(0.0, 0), (0.0, 2), (0.3, 1)])
  func gradientsAreThoseOfCentralDifferences(dropout: Double, expertsEvery: Int) throws {
    let network = Self.network(Double.self, dropout: dropout, expertsEvery: expertsEvery)
    _ = try Self.run(network, isTraining: true)
    let gradients = network.parameters.map { $0.gradient.values }
    let h = 2e-5
    for (parameter, gradient) in zip(network.parameters, gradients) {
      var largest = 0.0
      for i in stride(from: 0, to: gradient.count, by: max(1, gradient.count / 23)) {
        let value = parameter.value.elements[i]
        func loss(_ shift: Double) throws -> Double {
          parameter.value.elements[i] = value + shift * h
          defer { parameter.value.elements[i] = value }
          return try Self.run(network, isTraining: false)
        }
        let slope = try (8 * (loss(1) - loss(-1)) - (loss(2) - loss(-2))) / (12 * h)
        largest = max(largest, (slope - gradient[i]).magnitude / (1 + gradient[i].magnitude))
      }
      #expect(largest < 1e-9, "\(parameter.name)")
    }
  }

  @Test(arguments: [2, 3])
  func threadsDoNotChangeABit(threads: Int) throws {
    let (one, several) = (Self.network(Float.self, dropout: 0.1), Self.network(Float.self, dropout: 0.1))
    let loss = try Self.run(one, isTraining: true)
    #expect(try Self.run(several, isTraining: true, threads: threads) == loss)
    for (a, b) in zip(one.parameters, several.parameters) { #expect(a.gradient.values == b.gradient.values) }
  }

  @Test func bothPrecisionsAgree() throws {
    let (single, double) = (Self.network(Float.self), Self.network(Double.self))
    #expect(try (Self.run(single, isTraining: true) - Self.run(double, isTraining: true)).magnitude < 1e-5)
    for (a, b) in zip(single.parameters, double.parameters) {
      let scale = b.gradient.values.reduce(0) { max($0, $1.magnitude) }
      for (x, y) in zip(a.gradient.values, b.gradient.values) {
        #expect((Double(x) - y).magnitude <= 2e-5 * scale + 1e-7)
      }
    }
  }

  /// Sequences side by side give what each gives alone.
  @Test func sequencesDoNotSeeEachOther() throws {
    let network = Self.network(Double.self)
    func likelihoods(_ range: Range<Int>, _ lengths: [Int]) throws -> [Double] {
      _ = try network.run(
        Array(Self.tokens[range]), targets: Array(Self.targets[range]), plan: SequencePlan(lengths: lengths),
        randomness: nil, isTraining: false, threads: 1)
      return range.indices.map { network.head.likelihoods[$0 - range.lowerBound] }
    }
    let together = try likelihoods(0..<15, Self.lengths)
    let alone = try likelihoods(0..<5, [5]) + likelihoods(5..<8, [3]) + likelihoods(8..<15, [7])
    for (a, b) in zip(together, alone) { #expect((a - b).magnitude < 1e-12) }
  }
}
