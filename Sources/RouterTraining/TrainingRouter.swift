import MixtureOfExperts
import RouterSpecifications
import RoutingCore
import RoutingEstimators

/// A router in training, as it is chosen by `id:key=value,…`: what the layer does, where the gradient of its logits comes from, and
/// whether ω is learned.
public struct TrainingRouter: Sendable {
  /// The name.
  package let id: String
  /// The parameters in effect.
  package let values: ParameterValues
  /// Whether the layer's scale ω is learned.
  package let scale: Bool
  /// What the layer does.
  package let tokenRouter: any TokenRouter
  /// What the layer is told of the experts that were not chosen; nil for routers that need nothing.
  let contrast: Contrast?
  /// The rank of the students, if there are any.
  let studentRank: Int?
  /// What the gradient of a token's logits is a sample of.
  let law: GradientLaw

  /// Whether no gradient of the loss reaches its logits.
  package var getsNothing: Bool { tokenRouter is LossFreeRouter }

  /// What stands for the output of an expert that was not chosen.
  enum Contrast: Sendable, Equatable {
    /// Zero.
    case null
    /// Its student's output; with `top`, of the most probable other expert only.
    case students(top: Bool)
    /// Its own output.
    case exact
  }

  /// `id:key=value,…`, without parameters that have their standard values.
  public var label: String {
    let standard = Self.declarations(of: id)
    let given = values.entries.filter { entry in
      standard.first { $0.name == entry.name }?.standard != entry.value
    }
    return given.isEmpty ? id : "\(id):" + given.map { "\($0.name)=\($0.value)" }.joined(separator: ",")
  }

  /// `id:key=value,…` with all parameters.
  public var specification: String { values.isEmpty ? id : "\(id):\(values)" }
}

// MARK: - The registry

extension TrainingRouter {
  /// A router's parameters, and how it is made from them.
  private struct Kind: Sendable {
    var id: String
    var parameters: [ParameterDeclaration]
    var make: @Sendable (ParameterValues) -> Parts
  }

  private struct Parts {
    var tokenRouter: any TokenRouter
    var contrast: Contrast?
    var studentRank: Int?
    var law = GradientLaw.unknown
  }

  private static let jitter = ParameterDeclaration("r", .number(0..<1), standard: .number(0.1))
  private static let jitterKind = ParameterDeclaration(
    "jitter", .word(["logits", "input", "none"]), standard: .word("logits"))
  private static let mask = ParameterDeclaration(
    "mask", .word(Mask.rules), standard: .word("reference-code"))
  private static let threshold = ParameterDeclaration("threshold", .notNegative, standard: .number(0.1))
  private static let argmaxRule = ParameterDeclaration("argmax-rule", .flag, standard: .flag(true))
  private static let omega = ParameterDeclaration("scale", .flag, standard: .flag(true))

  private static func mask(of values: ParameterValues) -> Mask {
    Mask(rule: values.word("mask"), threshold: values.number("threshold")) ?? .none
  }

  private static func noise(_ values: ParameterValues) -> SwitchRouter.Jitter {
    switch values.word("jitter") {
    case "logits": .logits(values.number("r"))
    case "input": .input(values.number("r"))
    default: .none
    }
  }

  /// Jitter on the input reaches the weights by another way than the logits, and has no law here.
  private static func jitteredLaw(_ values: ParameterValues, _ mask: Mask) -> GradientLaw {
    switch noise(values) {
    case .logits(let r): .jitteredArgmax(r: r, hasCoin: false, mask)
    case .none: .jitteredArgmax(r: 0, hasCoin: false, mask)
    case .input: .unknown
    }
  }

  private static let kinds: [Kind] = [
    Kind(id: "switch", parameters: [jitter, jitterKind]) {
      Parts(tokenRouter: SwitchRouter(jitter: noise($0)), law: jitteredLaw($0, .none))
    },
    // The controls: a task on which the first loses nothing cannot tell estimators apart.
    Kind(id: "none", parameters: [jitter, jitterKind]) {
      Parts(tokenRouter: LossFreeRouter(jitter: noise($0)), law: .silent)
    },
    // Its expected loss has gates of 1, which no target here is of: no law.
    Kind(id: "gate-one", parameters: [jitter, jitterKind]) { Parts(tokenRouter: GateOneRouter(jitter: noise($0))) },
    Kind(id: "masked-switch", parameters: [jitter, jitterKind, mask, threshold]) {
      Parts(tokenRouter: MaskedSwitchRouter(jitter: noise($0), mask: mask(of: $0)), law: jitteredLaw($0, mask(of: $0)))
    },
    Kind(
      id: "sparsemixer",
      parameters: [
        mask, threshold,
        // As published (first-order for the argmax, the midpoint's coin elsewhere), or one of the two for all.
        ParameterDeclaration(
          "rule", .word(["balanced", "midpoint", "first-order"]), standard: .word("balanced")),
      ]
    ) { values in
      let estimator: any RayEstimator =
        switch values.word("rule") {
        case "midpoint": Midpoint()
        case "first-order": FirstOrder()
        default: SparseMixer()
        }
      return Parts(
        tokenRouter: SparseMixerRouter(mask: mask(of: values), rule: estimator.rule),
        law: .rule(estimator.rule, mask(of: values)))
    },
    Kind(
      id: "sparsemixer-v2",
      parameters: [
        mask, threshold, argmaxRule, ParameterDeclaration("reference-constants", .flag, standard: .flag(false)),
      ]
    ) { values in
      let router = SparseMixerV2Router(
        mask: mask(of: values), argmaxRule: values.flag("argmax-rule"),
        referenceConstants: values.flag("reference-constants"))
      return Parts(tokenRouter: router, law: .rule(router.rule, mask(of: values)))
    },
    Kind(id: "sparsemixer-v2-top2", parameters: [mask, threshold, argmaxRule]) {
      Parts(
        tokenRouter: SparseMixerV2Top2Router(mask: mask(of: $0), argmaxRule: $0.flag("argmax-rule")),
        law: $0.flag("argmax-rule") ? .estimator(SparseMixerV2Top2(), mask(of: $0)) : .unknown)
    },
    Kind(id: "argmax-midpoint", parameters: [jitter]) {
      Parts(
        tokenRouter: ArgmaxMidpointRouter(jitter: $0.number("r")),
        law: .jitteredArgmax(r: $0.number("r"), hasCoin: true, .none))
    },
    Kind(id: "null-contrast", parameters: [jitter]) {
      Parts(
        tokenRouter: DetachedRouter(.jitteredArgmax(r: $0.number("r"))), contrast: .null,
        law: .detached(r: $0.number("r")))
    },
    Kind(
      id: "surrogate-experts",
      parameters: [
        jitter, ParameterDeclaration("rank", .integer(1...4096), standard: .integer(8)),
        ParameterDeclaration("extra", .number(0...1), standard: .number(0.125)),
        ParameterDeclaration("top", .integer(0...1), standard: .integer(0)),
      ]
    ) {
      Parts(
        tokenRouter: DetachedRouter(.jitteredArgmax(r: $0.number("r")), extraShare: $0.number("extra")),
        contrast: .students(top: $0.integer("top") == 1), studentRank: $0.integer("rank"),
        law: .detached(r: $0.number("r")))
    },
    Kind(
      id: "exact",
      parameters: [
        ParameterDeclaration("expert", .word(["argmax", "sample"]), standard: .word("argmax")), jitter,
      ]
    ) {
      Parts(
        tokenRouter: DetachedRouter(
          $0.word("expert") == "sample" ? .sample : .jitteredArgmax(r: $0.number("r"))), contrast: .exact,
        law: .detached(r: nil))
    },
    Kind(
      id: "reinforce",
      parameters: [mask, threshold, ParameterDeclaration("baseline", .number, standard: .number(0))]
    ) {
      Parts(
        tokenRouter: ReinforceRouter(mask: mask(of: $0), baseline: $0.number("baseline")),
        law: .reinforce(baseline: $0.number("baseline"), mask(of: $0)))
    },
    Kind(id: "dense-backward", parameters: []) { _ in
      Parts(tokenRouter: DenseBackwardRouter(), law: .estimator(DenseBackward(), .none))
    },
    Kind(
      id: "default-moe",
      parameters: [
        ParameterDeclaration("k", .integer(1...4096), standard: .integer(1)),
        ParameterDeclaration("decay", .number(0..<1), standard: .number(0.999)),
      ]
    ) { Parts(tokenRouter: DefaultMoERouter(k: $0.integer("k"), decay: $0.number("decay"))) },
    Kind(
      id: "top-k",
      parameters: [
        ParameterDeclaration("k", .integer(1...4096), standard: .integer(2)),
        ParameterDeclaration("score", .word(["softmax", "sigmoid"]), standard: .word("softmax")),
        ParameterDeclaration("normalized", .flag, standard: .flag(true)),
        ParameterDeclaration("factor", .number, standard: .number(1)),
      ]
    ) {
      Parts(
        tokenRouter: SpecificationRouter(
          top: $0.integer("k"), score: $0.word("score") == "sigmoid" ? .sigmoid : .softmax,
          gate: RouterSpecification.Gate(isNormalized: $0.flag("normalized"), scale: $0.number("factor"))))
    },
    Kind(id: "gshard", parameters: []) { _ in Parts(tokenRouter: GShardRouter()) },
    Kind(id: "base", parameters: []) { _ in Parts(tokenRouter: BaseRouter()) },
  ]

  /// Every id.
  public static var ids: [String] { kinds.map(\.id) }

  /// A router's parameters.
  package static func declarations(of id: String) -> [ParameterDeclaration] {
    kinds.first { $0.id == id }.map { $0.parameters + [omega] } ?? []
  }

  /// The router that `id:key=value,…` stands for.
  ///
  /// - Throws: `InvalidEstimator` for an unknown id, an unknown parameter, or a value out of range.
  public init(_ text: String) throws(InvalidEstimator) {
    let chosen = try Specification(text, kind: "router", among: Self.ids)
    let values = try chosen.values(Self.declarations(of: chosen.id))
    guard let kind = Self.kinds.first(where: { $0.id == chosen.id }) else {
      preconditionFailure("\(chosen.id) is one of the ids and has no kind")
    }
    let parts = kind.make(values)
    id = chosen.id
    self.values = values
    scale = values.flag("scale")
    tokenRouter = parts.tokenRouter
    contrast = parts.contrast
    studentRank = parts.studentRank
    law = parts.law
  }

  /// The routers of a comma-separated list, in which a comma followed by `key=` continues the parameters.
  package static func routers(list: String) throws(InvalidEstimator) -> [TrainingRouter] {
    var routers: [TrainingRouter] = []
    for text in Specification.split(list) { routers.append(try TrainingRouter(text)) }
    return routers
  }

  /// The routers of the default comparison, in the order of its table.
  public static let standardList =
    "switch,masked-switch,sparsemixer,sparsemixer-v2,argmax-midpoint,null-contrast,surrogate-experts,"
    + "exact:expert=sample,exact"
}
