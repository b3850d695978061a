import RoutingCore

/// What a router says of itself before it is called; every check holds it to that, and to nothing else.
///
/// A router with two draws, a mask or jitter is not wrong for having them, so they are declared, and checks that a sound
/// router of that kind would fail do not apply.
public struct RouterProfile: Sendable, Equatable {
  /// What it computes.
  public var specification: RouterSpecification
  /// How many uniform draws from [0, 1) a token takes.
  public var uniforms: Int
  /// How many standard normal draws a token takes.
  public var normals: Int
  /// Whether it is given logits, or the layer's input and makes logits of it by the identity matrix.
  public var takes: Source
  /// What it computes in; tolerances follow.
  public var precision: Precision
  /// Whether it can answer with all that a specification asks for; one that speaks `routegrad.router/1` has no words for the
  /// gradient of an auxiliary loss.
  public var speaksOfAll = true

  /// What a router is given.
  public enum Source: String, Sendable, CaseIterable {
    /// Logits; it never sees what the experts read.
    case logits
    /// The layer's input, from which an identity matrix makes the logits; the experts read the input, too.
    case input
  }

  /// What a router computes in.
  public enum Precision: String, Sendable, CaseIterable {
    case float32
    case float64

    /// The unit of rounding, relative.
    package var epsilon: Double { self == .float32 ? 0x1p-23 : 0x1p-52 }
  }

  /// A router of a specification.
  ///
  /// - Parameters:
  ///   - specification: what it computes.
  ///   - uniforms: how many uniform draws it takes; nil for as many as its noise does.
  ///   - normals: how many normal draws it takes; nil for as many as its noise does.
  ///   - takes: what it is given.
  ///   - precision: what it computes in.
  public init(
    _ specification: RouterSpecification, uniforms: Int? = nil, normals: Int? = nil, takes: Source = .logits,
    precision: Precision = .float64
  ) {
    self.specification = specification
    let noise = specification.noise?.kind
    self.uniforms = uniforms ?? (noise?.takesUniforms == true ? specification.experts : 0)
    self.normals = normals ?? (noise?.takesNormals == true ? specification.experts : 0)
    self.takes = takes
    self.precision = precision
  }

  /// Its name in reports.
  public var name: String { specification.name }
  /// N.
  public var experts: Int { specification.experts }
  /// The most experts that a token is sent to.
  public var topK: Int { specification.mostChosen }
  /// Whether a call takes draws of any kind.
  public var draws: Bool { uniforms > 0 || normals > 0 }

  /// Rounding that is forgiven, relative to the quantities compared: 64 units of the declared precision. A softmax, a dot
  /// product and a Jacobian product take a handful each; the smallest planted fault is off by 10⁻².
  package var tolerance: Double { 64 * precision.epsilon }

  /// Throws if the numbers do not go together.
  package func validate() throws(InvalidInput) {
    try specification.validate()
    let draws = Limit<Int>("0 to 65536 draws") { (0...65536).contains($0) }
    try draws.require("uniforms", uniforms)
    try draws.require("normals", normals)
    guard let noise = specification.noise else { return }
    if noise.kind.takesUniforms, uniforms < experts {
      throw InvalidInput("uniforms", "expected at least \(experts) draws, which the noise takes, got \(uniforms)")
    }
    if noise.kind.takesNormals, normals < experts {
      throw InvalidInput("normals", "expected at least \(experts) draws, which the noise takes, got \(normals)")
    }
    if noise.kind == .uniformInput, takes != .input {
      throw InvalidInput("takes", "expected \"input\" with noise on the input")
    }
  }
}

extension RouterSpecification.Noise.Kind {
  /// Whether it is made of uniform draws.
  public var takesUniforms: Bool { self == .uniform || self == .uniformInput || self == .gumbel }
  /// Whether it is made of normal draws.
  public var takesNormals: Bool { self == .normal || self == .learnedNormal }
}

// MARK: - Simple routers

extension RouterProfile {
  /// How the multipliers of the chosen experts A follow from the logits, in the words of `routegrad.router/1`.
  public enum Gates: String, Sendable, CaseIterable {
    /// `softmax(θ)_i`, over all experts that the mask keeps.
    case softmax
    /// `softmax(θ)_i / Σ_{j ∈ A} softmax(θ)_j`.
    case renormalized
    /// One draw after the other: `softmax(θ)_i`, then the softmax over the experts left (SparseMixer-v2).
    case sequential
    /// Something else; much cannot be decided then.
    case other
  }

  /// The profile of a softmax router, of the kinds that `routegrad.router/1` has words for.
  ///
  /// Draws beyond those of the jitter are taken for sampling. With gates of another kind nothing is said of the choice.
  ///
  /// - Parameters:
  ///   - name: its name.
  ///   - experts: N.
  ///   - topK: k.
  ///   - uniforms: how many uniform draws a token takes; 0 for a deterministic router.
  ///   - takes: what it is given.
  ///   - gates: its multipliers.
  ///   - mask: SparseMixer's mask.
  ///   - outputScales: what a coin may multiply a gate by in the forward pass.
  ///   - gradientFactor: what the gates' derivative is multiplied by in the backward pass.
  ///   - jitter: multiplicative noise on logits or input.
  ///   - auxiliaryLoss: the load-balancing loss.
  ///   - capacity: how many tokens of a batch an expert takes.
  ///   - routesJointly: whether tokens compete for experts.
  ///   - mayChooseFewer: whether a token may get fewer than k experts, capacity aside.
  ///   - precision: what it computes in.
  public init(
    name: String, experts: Int, topK: Int = 1, uniforms: Int = 0, takes: Source = .logits, gates: Gates = .other,
    mask: Mask = .none, outputScales: [Double] = [1], gradientFactor: Double = 1,
    jitter: RouterSpecification.Noise? = nil, auxiliaryLoss: RouterSpecification.AuxiliaryLoss? = nil,
    capacity: Int? = nil, routesJointly: Bool = false, mayChooseFewer: Bool = false, precision: Precision = .float64
  ) {
    let sources: [Gates: RouterSpecification.Gate.Source] = [
      .softmax: .score, .renormalized: .softmaxOverChosen, .sequential: .sequential,
    ]
    let gate = sources[gates].map {
      RouterSpecification.Gate($0, gradientFactor: gradientFactor, outputScales: outputScales)
    }
    let isUnstated = gates == .other || routesJointly || mayChooseFewer
    let samples = uniforms > (jitter == nil ? 0 : experts)
    self.init(
      RouterSpecification(
        name: name, experts: experts, noise: jitter, key: .logits, mask: mask,
        selection: isUnstated
          ? .unstated(atMost: topK, joint: routesJointly, fewer: mayChooseFewer)
          : samples ? .sampled(topK) : .topK(topK),
        gate: gate, capacity: capacity.map { .init($0) }, auxiliaryLosses: auxiliaryLoss.map { [$0] } ?? []),
      uniforms: uniforms, takes: takes, precision: precision)
    speaksOfAll = false
  }
}
