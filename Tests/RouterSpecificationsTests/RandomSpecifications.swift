import RouterSpecifications
import RoutingCore
import _TestSupport

/// Random specifications that are valid, every stage there or not.
enum RandomSpecifications {
  /// The first `count` of a stream of its own.
  static func list(_ count: Int, _ stream: String) -> [RouterSpecification] {
    var generator = TestSeed.generator(stream)
    var found: [RouterSpecification] = []
    while found.count < count {
      let specification = draw(number: found.count, using: &generator)
      if (try? specification.validate()) != nil { found.append(specification) }
    }
    return found
  }

  private static func draw(number: Int, using generator: inout Philox) -> RouterSpecification {
    func chance(_ percent: UInt64, _ generator: inout Philox) -> Bool { generator.next() % 100 < percent }
    func pick<Word: CaseIterable>(_ type: Word.Type, _ generator: inout Philox) -> Word {
      Array(type.allCases)[Int(generator.next() % UInt64(type.allCases.count))]
    }
    let n = [4, 6, 8, 12][Int(generator.next() % 4)]
    let k = Int(generator.next() % 3) + 1
    var specification = RouterSpecification(name: "random-\(number)", experts: n, selection: .topK(k))
    specification.score = .init(pick(RouterSpecification.Score.Function.self, &generator))
    if chance(30, &generator) { specification.score.temperature = 1.5 }
    if chance(30, &generator) { specification.key = .logits }
    if chance(40, &generator) {
      let kind = pick(RouterSpecification.Noise.Kind.self, &generator)
      specification.noise = .init(kind, width: kind == .learnedNormal ? 1 : 0.5, reachesGates: chance(70, &generator))
    }
    specification.hasSelectionBias = chance(40, &generator)
    if chance(30, &generator) {
      specification.groups = .init(
        count: n / 2, kept: 2, score: pick(RouterSpecification.Groups.Score.self, &generator))
    }
    switch generator.next() % 8 {
    case 0: specification.selection = .topP(mass: 0.6, count: k + 1)
    case 1: specification.selection = .threshold(above: 0.1, count: k + 1)
    case 2: specification.selection = .expertChoice(2)
    case 3: specification.selection = .sampled(k)
    case 4: specification.selection = .forced(k)
    default: break
    }
    specification.gate = .init(
      pick(RouterSpecification.Gate.Source.self, &generator), isNormalized: chance(50, &generator),
      epsilon: chance(30, &generator) ? 0.01 : 0, floor: chance(20, &generator) ? 0.05 : 0,
      sumsOverKept: chance(30, &generator), scale: chance(40, &generator) ? 2.5 : 1,
      hasExpertScales: chance(30, &generator), gradientFactor: chance(20, &generator) ? 2 : 1)
    if chance(20, &generator) { specification.applied = .input }
    specification.takesFunctions = chance(20, &generator)
    if chance(20, &generator) {
      specification.nullExperts = .init(count: 2, kind: pick(RouterSpecification.NullExperts.Kind.self, &generator))
    }
    if chance(30, &generator) {
      specification.capacity = .init(2, priority: pick(RouterSpecification.Capacity.Priority.self, &generator))
    }
    for _ in 0..<(generator.next() % 3) {
      specification.auxiliaryLosses.append(
        .init(
          pick(RouterSpecification.AuxiliaryLoss.Kind.self, &generator), coefficient: 0.25,
          counting: pick(RouterSpecification.AuxiliaryLoss.Counting.self, &generator),
          probabilities: pick(RouterSpecification.AuxiliaryLoss.Probabilities.self, &generator),
          scope: pick(RouterSpecification.AuxiliaryLoss.Scope.self, &generator)))
    }
    if specification.hasSelectionBias, chance(50, &generator) {
      specification.biasUpdate = .init(pick(RouterSpecification.BiasUpdate.Rule.self, &generator), rate: 0.01)
    }
    specification.replays = chance(30, &generator)
    return specification
  }
}
