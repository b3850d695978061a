import GSLNumerics
import MixtureOfExperts
import Testing

@testable import RouterTraining

/// The encoder–decoder in Double against numerical derivatives, and what does not change its bytes.
struct TranslationNetworkTests {
  static let pairs = [
    SentencePair(source: [3, 4, 5, 2], target: [6, 7]), SentencePair(source: [8], target: [9, 3, 3, 5]),
    SentencePair(source: [2, 9, 6], target: [4]),
  ]

  static func network<S: TransformerScalar>(
    _ type: S.Type, dropout: Double = 0, expertsEvery: Int = 2, smoothing: Double = 0.1, vocabulary: Int = 10,
    router: any TokenRouter = SwitchRouter()
  ) -> TranslationNetwork<S> {
    var shape = TransformerShape()
    (shape.width, shape.heads, shape.layers, shape.hidden, shape.experts) = (8, 2, 2, 6, 3)
    (shape.expertsEvery, shape.dropout, shape.scale) = (expertsEvery, dropout, true)
    let network = TranslationNetwork<S>(
      shape, vocabulary: vocabulary, rows: 16, length: 8, smoothing: smoothing, router: router)
    network.initialise(seed: 4)
    // Larger than what training begins with, so that attention is far from uniform and no gradient is small.
    for parameter in network.parameters {
      for i in 0..<parameter.value.count { parameter.value.elements[i] *= 1.7 }
    }
    return network
  }

  private static func run<S: TransformerScalar>(
    _ network: TranslationNetwork<S>, isTraining: Bool, threads: Int = 1
  ) throws -> Double {
    let sums = try network.run(
      TranslationBatch(pairs), randomness: StepRandomness(seed: 5, step: 2), isTraining: isTraining, threads: threads)
    return sums.loss / Double(sums.tokens) + sums.auxiliary
  }

  /// As long as neither a ReLU nor a choice of expert changes sides within the differences' reach; the seed is one where none does.
  @Test(arguments: [(0.0, 0), (0.0, 2), (0.25, 1)])
  func gradientsAreThoseOfNumericalDerivatives(dropout: Double, expertsEvery: Int) throws {
    let network = Self.network(Double.self, dropout: dropout, expertsEvery: expertsEvery)
    _ = try Self.run(network, isTraining: true)
    let gradients = network.parameters.map { $0.gradient.values }
    for (parameter, gradient) in zip(network.parameters, gradients) {
      for i in stride(from: 0, to: gradient.count, by: max(1, gradient.count / 7)) {
        let value = parameter.value.elements[i]
        let slope = try derivative(
          of: { x in
            parameter.value.elements[i] = x
            defer { parameter.value.elements[i] = value }
            return (try? Self.run(network, isTraining: false)) ?? .nan
          }, at: value, step: 1e-4)
        #expect(
          (slope.value - gradient[i]).magnitude <= 1e-8 * (1 + gradient[i].magnitude) + 10 * slope.error,
          "\(parameter.name)[\(i)]: \(gradient[i]), numerically \(slope.value)")
      }
    }
  }

  @Test func threadsDoNotChangeABit() throws {
    let (one, several) = (Self.network(Float.self, dropout: 0.1), Self.network(Float.self, dropout: 0.1))
    let loss = try Self.run(one, isTraining: true)
    #expect(try Self.run(several, isTraining: true, threads: 3) == loss)
    for (a, b) in zip(one.parameters, several.parameters) { #expect(a.gradient.values == b.gradient.values) }
  }

  /// Sentences side by side give what each gives alone.
  @Test func sentencesDoNotSeeEachOther() throws {
    let network = Self.network(Double.self)
    func likelihoods(_ pairs: [SentencePair]) throws -> [Double] {
      let batch = TranslationBatch(pairs)
      _ = try network.run(batch, randomness: nil, isTraining: false, threads: 1)
      return (0..<batch.target.count).map { network.head.likelihoods[$0] }
    }
    for (a, b) in zip(try likelihoods(Self.pairs), try Self.pairs.flatMap { try likelihoods([$0]) }) {
      #expect((a - b).magnitude < 1e-12)
    }
  }
}
