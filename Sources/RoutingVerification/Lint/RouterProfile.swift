import RoutingCore

/// What a router says of itself before it is called; every check holds it to that, and to nothing else.
///
/// A router with two draws, a mask or jitter is not wrong for having them, so they are declared, and checks that a sound
/// router of that kind would fail do not apply.
public struct RouterProfile: Sendable, Equatable {
  /// Its name in reports.
  public var name: String
  /// N, at least 2.
  public var experts: Int
  /// k: how many experts a token is sent to.
  public var topK: Int
  /// How many uniform draws from [0, 1) a token takes; 0 for a deterministic router.
  public var uniforms: Int
  /// Whether it is given logits, or the layer's input and makes logits of it by the identity matrix.
  public var takes: Source
  /// How the multipliers of the chosen experts follow from the logits.
  public var gates: Gates
  /// The mask on the experts.
  public var mask: Mask
  /// What a coin may multiply a gate by in the forward pass: `[1, 1/3]` for SparseMixer-v2.
  public var outputScales: [Double]
  /// What the gates' derivative is multiplied by in the backward pass: 2 for SparseMixer.
  public var gradientFactor: Double
  /// Multiplicative noise in training mode.
  public var jitter: Jitter
  /// The load-balancing loss, if it reports one.
  public var auxiliaryLoss: AuxiliaryLoss?
  /// How many tokens of a batch an expert takes; nil for any number.
  public var capacity: Int?
  /// Whether the tokens of a batch compete for experts (expert choice, BASE).
  public var routesJointly: Bool
  /// Whether a token may be sent to fewer than k experts for other reasons than capacity (GShard's second expert).
  public var mayChooseFewer: Bool
  /// What it computes in; tolerances follow.
  public var precision: Precision

  /// What a router is given.
  public enum Source: String, Sendable, CaseIterable {
    /// Logits; it never sees what the experts read.
    case logits
    /// The layer's input, from which an identity matrix makes the logits; the experts read the input, too.
    case input
  }

  /// How the multipliers of the chosen experts A follow from the logits.
  public enum Gates: String, Sendable, CaseIterable {
    /// `softmax(θ)_i`, over all experts that the mask keeps.
    case softmax
    /// `softmax(θ)_i / Σ_{j ∈ A} softmax(θ)_j`.
    case renormalized
    /// One draw after the other: `softmax(θ)_i`, then the softmax over the experts left (SparseMixer-v2).
    case sequential
    /// Something else, such as sigmoids; much cannot be decided then.
    case other
  }

  /// Multiplicative noise `u_k = 1 − ε + 2ε d_k`, where d are the token's first N draws.
  public enum Jitter: Sendable, Equatable {
    case none
    /// On the logits: the gradient is that of the logits before the noise.
    case logits(Double)
    /// On the router's input: the gradient is that of the logits after it.
    case input(Double)

    /// ε.
    var width: Double? {
      switch self {
      case .none: nil
      case .logits(let width), .input(let width): width
      }
    }
  }

  /// `coefficient · N · Σ_i f_i P_i`, with P_i the mean of `softmax(θ)_i` over the tokens.
  public struct AuxiliaryLoss: Sendable, Equatable {
    /// What the loss is multiplied by.
    public var coefficient: Double
    /// What f_i counts.
    public var counting: Counting

    /// What f_i counts, per token.
    public enum Counting: String, Sendable, CaseIterable {
      /// Every choice: the loss is k at uniform routing.
      case all
      /// Every choice, divided by k: 1 at uniform routing.
      case mean
      /// The first choice: 1 at uniform routing.
      case first
    }

    /// A load-balancing loss.
    public init(coefficient: Double = 1, counting: Counting) {
      self.coefficient = coefficient
      self.counting = counting
    }
  }

  /// What a router computes in.
  public enum Precision: String, Sendable, CaseIterable {
    case float32
    case float64

    /// The unit of rounding, relative.
    package var epsilon: Double { self == .float32 ? 0x1p-23 : 0x1p-52 }
  }

  /// The profile of a deterministic router that takes logits, unless more is said.
  public init(
    name: String, experts: Int, topK: Int = 1, uniforms: Int = 0, takes: Source = .logits, gates: Gates = .other,
    mask: Mask = .none, outputScales: [Double] = [1], gradientFactor: Double = 1, jitter: Jitter = .none,
    auxiliaryLoss: AuxiliaryLoss? = nil, capacity: Int? = nil, routesJointly: Bool = false,
    mayChooseFewer: Bool = false,
    precision: Precision = .float64
  ) {
    self.name = name
    self.experts = experts
    self.topK = topK
    self.uniforms = uniforms
    self.takes = takes
    self.gates = gates
    self.mask = mask
    self.outputScales = outputScales
    self.gradientFactor = gradientFactor
    self.jitter = jitter
    self.auxiliaryLoss = auxiliaryLoss
    self.capacity = capacity
    self.routesJointly = routesJointly
    self.mayChooseFewer = mayChooseFewer
    self.precision = precision
  }

  /// Rounding that is forgiven, relative to the quantities compared: 64 units of the declared precision. A softmax, a dot
  /// product and a Jacobian product take a handful each; the smallest planted fault is off by 10⁻².
  package var tolerance: Double { 64 * precision.epsilon }

  /// What the number of experts may be.
  package static let expertsLimit = Limit("2 to 1024 experts") { (2...1024).contains($0) }

  /// Throws if the numbers do not go together.
  package func validate() throws(InvalidInput) {
    func require(_ condition: Bool, _ path: String, _ expectation: String) throws(InvalidInput) {
      if !condition { throw InvalidInput(path, expectation) }
    }
    try Self.expertsLimit.require("experts", experts)
    try require((1...experts).contains(topK), "topK", "expected 1 to \(experts) experts, got \(topK)")
    try require((0...65536).contains(uniforms), "uniforms", "expected 0 to 65536 draws, got \(uniforms)")
    try require(gates != .sequential || topK <= 2, "topK", "expected at most 2 with sequential gates, got \(topK)")
    try require(!outputScales.isEmpty, "outputScales", "expected at least one number, got none")
    try require(
      outputScales.allSatisfy { $0.isFinite && $0 > 0 }, "outputScales", "expected finite numbers above 0")
    try require(
      gradientFactor.isFinite && gradientFactor > 0, "gradientFactor", "expected a finite number above 0")
    if let width = jitter.width {
      try require(width > 0 && width < 1, "jitter.width", "expected a number between 0 and 1, got \(width)")
      try require(
        uniforms >= experts, "uniforms", "expected at least \(experts) draws, which jitter takes, got \(uniforms)")
    }
    if case .input = jitter { try require(takes == .input, "takes", "expected \"input\" with jitter on the input") }
    if let loss = auxiliaryLoss {
      try require(
        loss.coefficient.isFinite && loss.coefficient != 0, "auxiliaryLoss.coefficient",
        "expected a finite number that is not 0, got \(loss.coefficient)")
    }
    if let capacity {
      try require((1...64).contains(capacity), "capacity", "expected 1 to 64 tokens, got \(capacity)")
    }
  }
}
