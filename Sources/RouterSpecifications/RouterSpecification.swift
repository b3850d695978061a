import RoutingCore

/// What a router computes, in the order in which it happens.
///
/// θ → noise → z → score s → key → restriction → selection A → gates → the layer's output, and beside it capacity, auxiliary
/// losses and the update of a selection bias. ``RouterReference`` evaluates it, ``RouterMistake`` changes it.
///
/// *Edge cases*: an expert with θ_i = −∞ is never chosen; of two equal keys the one of the lower index counts as larger.
///
/// *Source*: docs/router-specifications.md, which has every formula; the JSON form is `routegrad.router-spec/1`.
public struct RouterSpecification: Sendable, Equatable {
  /// Its name in reports and in the catalogue.
  public var name: String
  /// N, at least 2.
  public var experts: Int
  /// What makes z of θ in training mode; nil for z = θ.
  public var noise: Noise?
  /// s, from z.
  public var score: Score
  /// What experts are chosen by, before the bias.
  public var key: Key
  /// Whether each call gives a bias that is added to the key, and to nothing else.
  public var hasSelectionBias: Bool
  /// The groups of which only the best may be chosen from.
  public var groups: Groups?
  /// SparseMixer's mask.
  public var mask: Mask
  /// Which experts are chosen.
  public var selection: Selection
  /// The number of the last experts that are every token's besides, whatever their keys.
  public var alwaysChosen: Int
  /// What a chosen expert's output is multiplied by; nil where nothing is said of it.
  public var gate: Gate?
  /// What the gate multiplies.
  public var applied: Applied
  /// Whether calls give the experts as functions, whatever the gate multiplies.
  public var takesFunctions: Bool
  /// The last experts, which return their input or 0.
  public var nullExperts: NullExperts?
  /// How many tokens an expert takes.
  public var capacity: Capacity?
  /// What is added to the training loss.
  public var auxiliaryLosses: [AuxiliaryLoss]
  /// How the selection bias follows the loads.
  public var biasUpdate: BiasUpdate?
  /// Whether a call may force the choice.
  public var replays: Bool

  /// Softmax, top-k, the softmax's entries as gates, unless more is said.
  public init(
    name: String, experts: Int, noise: Noise? = nil, score: Score = Score(), key: Key = .score,
    hasSelectionBias: Bool = false, groups: Groups? = nil, mask: Mask = .none, selection: Selection = .topK(1),
    alwaysChosen: Int = 0,
    gate: Gate? = Gate(), applied: Applied = .output, takesFunctions: Bool = false, nullExperts: NullExperts? = nil,
    capacity: Capacity? = nil, auxiliaryLosses: [AuxiliaryLoss] = [], biasUpdate: BiasUpdate? = nil,
    replays: Bool = false
  ) {
    self.name = name
    self.experts = experts
    self.noise = noise
    self.score = score
    self.key = key
    self.hasSelectionBias = hasSelectionBias
    self.groups = groups
    self.mask = mask
    self.selection = selection
    self.alwaysChosen = alwaysChosen
    self.gate = gate
    self.applied = applied
    self.takesFunctions = takesFunctions
    self.nullExperts = nullExperts
    self.capacity = capacity
    self.auxiliaryLosses = auxiliaryLosses
    self.biasUpdate = biasUpdate
    self.replays = replays
  }

  /// The most experts that a token can get.
  public var mostChosen: Int { selection.most(of: experts) + alwaysChosen }
  /// Whether calls give inputs and experts as functions.
  public var usesFunctions: Bool { takesFunctions || applied == .input }
}

// MARK: - Logits, score and key

extension RouterSpecification {
  /// Noise on the logits, in training mode.
  public struct Noise: Sendable, Equatable {
    /// How z follows from θ and the draws.
    public var kind: Kind
    /// ε; for learned noise of no meaning.
    public var width: Double
    /// Whether gates are made of z or of θ.
    public var reachesGates: Bool

    /// Noise.
    public init(_ kind: Kind, width: Double = 1, reachesGates: Bool = true) {
      self.kind = kind
      self.width = width
      self.reachesGates = reachesGates
    }

    /// How z follows from θ and the draws.
    public enum Kind: String, Sendable, CaseIterable {
      /// `θ_i (1 − ε + 2ε d_i)`, d uniform from [0, 1).
      case uniform
      /// The same on the router's input; gradients are those of z.
      case uniformInput = "uniform-input"
      /// `θ + ε n`.
      case normal
      /// `θ + softplus(ν) ⊙ n`, ν given with the call.
      case learnedNormal = "learned-normal"
      /// `θ + ε g`, `g = −log(−log d)`.
      case gumbel
    }
  }

  /// s, from z.
  public struct Score: Sendable, Equatable {
    /// The function.
    public var function: Function
    /// τ > 0, which z is divided by.
    public var temperature: Double

    /// The softmax, unless more is said.
    public init(_ function: Function = .softmax, temperature: Double = 1) {
      self.function = function
      self.temperature = temperature
    }

    /// The function.
    public enum Function: String, Sendable, CaseIterable {
      case softmax
      case sigmoid
      /// `√(log(1 + e^z))`.
      case softplusSqrt = "softplus-sqrt"
      /// `max(z, 0)`.
      case relu
      case exp
      case identity
    }
  }

  /// What experts are chosen by.
  public enum Key: String, Sendable, CaseIterable {
    case score
    case logits
  }

  /// Groups of neighbouring experts, of which the best are kept.
  public struct Groups: Sendable, Equatable {
    /// G, which divides N.
    public var count: Int
    /// How many are kept.
    public var kept: Int
    /// What a group is worth.
    public var score: Score

    /// Groups.
    public init(count: Int, kept: Int, score: Score) {
      self.count = count
      self.kept = kept
      self.score = score
    }

    /// What a group is worth.
    public enum Score: String, Sendable, CaseIterable {
      /// Its largest key.
      case max
      /// The sum of its two largest keys.
      case sumOfTwo = "sum-of-two"
    }
  }
}

// MARK: - Selection and gate

extension RouterSpecification {
  /// Which experts are chosen.
  public enum Selection: Sendable, Equatable {
    /// The k largest keys.
    case topK(Int)
    /// The fewest of the largest scores that sum to at least `mass`, at most `count`.
    case topP(mass: Double, count: Int)
    /// All keys above a threshold, at most `count`.
    case threshold(above: Double, count: Int)
    /// Each expert takes this many tokens, those of the largest keys.
    case expertChoice(Int)
    /// Drawn without replacement; given the choice, the rest follows.
    case sampled(Int)
    /// The choice is in the call.
    case forced(Int)
    /// By a rule that is not told.
    case unstated(atMost: Int, joint: Bool, fewer: Bool)

    /// The most experts that a token can get of N.
    public func most(of experts: Int) -> Int {
      switch self {
      case .topK(let k), .sampled(let k), .forced(let k), .topP(_, let k), .threshold(_, let k): k
      case .unstated(let k, _, _): k
      case .expertChoice: experts
      }
    }
    /// Whether tokens compete for experts.
    public var isJoint: Bool {
      switch self {
      case .expertChoice, .unstated(_, true, _): true
      default: false
      }
    }
    /// Whether a token may get fewer experts than ``most(of:)``, capacity aside.
    public var mayBeFewer: Bool {
      switch self {
      case .topK, .sampled, .forced: false
      case .topP, .threshold, .expertChoice: true
      case .unstated(_, let joint, let fewer): joint || fewer
      }
    }
  }

  /// What a chosen expert's output is multiplied by.
  public struct Gate: Sendable, Equatable {
    /// What it is made of.
    public var source: Source
    /// Whether it is divided by its sum over the chosen experts.
    public var isNormalized: Bool
    /// ε, added to that sum.
    public var epsilon: Double
    /// δ, below which the divisor does not fall.
    public var floor: Double
    /// Whether the sum is over the experts that capacity keeps.
    public var sumsOverKept: Bool
    /// r, which it is multiplied by.
    public var scale: Double
    /// Whether each call gives a factor for each expert.
    public var hasExpertScales: Bool
    /// What the gate's derivative is multiplied by in the backward pass: 2 for SparseMixer.
    public var gradientFactor: Double
    /// What a coin may multiply a gate by in the forward pass: `[1, 1/3]` for SparseMixer-v2.
    public var outputScales: [Double]

    /// The score, unless more is said.
    public init(
      _ source: Source = .score, isNormalized: Bool = false, epsilon: Double = 0, floor: Double = 0,
      sumsOverKept: Bool = false, scale: Double = 1, hasExpertScales: Bool = false, gradientFactor: Double = 1,
      outputScales: [Double] = [1]
    ) {
      self.source = source
      self.isNormalized = isNormalized
      self.epsilon = epsilon
      self.floor = floor
      self.sumsOverKept = sumsOverKept
      self.scale = scale
      self.hasExpertScales = hasExpertScales
      self.gradientFactor = gradientFactor
      self.outputScales = outputScales
    }

    /// What the gate is made of.
    public enum Source: String, Sendable, CaseIterable {
      /// s_i, never the key.
      case score
      /// The softmax of z over the chosen experts.
      case softmaxOverChosen = "softmax-over-chosen"
      /// `1/(1 + e^{−z_i})`, whatever the score is.
      case sigmoidOfLogit = "sigmoid-of-logit"
      /// One draw after the other: the softmax over the experts left.
      case sequential
      /// The probability that i is in a k-subset of `P(S) ∝ Π s_i/(1 − s_i)`.
      case subsetMarginal = "subset-marginal"
      /// 1.
      case one
    }
  }

  /// What the gate multiplies.
  public enum Applied: String, Sendable, CaseIterable {
    /// The expert's output.
    case output
    /// The expert's input.
    case input
  }

  /// The last experts, which compute nothing.
  public struct NullExperts: Sendable, Equatable {
    public var count: Int
    public var kind: Kind

    /// Null experts.
    public init(count: Int, kind: Kind) {
      self.count = count
      self.kind = kind
    }

    /// What they return.
    public enum Kind: String, Sendable, CaseIterable {
      case identity
      case zero
    }
  }

  /// How many tokens of a batch an expert takes; nobody is turned away while there is room.
  public struct Capacity: Sendable, Equatable {
    /// What a limit may be.
    package static let tokens = Limit<Int>.whole(1...4096)

    public var limit: Int
    public var priority: Priority

    /// A capacity.
    public init(_ limit: Int, priority: Priority = .position) {
      self.limit = limit
      self.priority = priority
    }

    /// Who comes first.
    public enum Priority: String, Sendable, CaseIterable {
      /// By token, then by place among the token's choices.
      case position
      /// All first choices, then all second ones.
      case rank
      /// The largest gate.
      case score
    }
  }
}

// MARK: - Losses and the bias

extension RouterSpecification {
  /// A loss beside the layer's.
  public struct AuxiliaryLoss: Sendable, Equatable {
    public var kind: Kind
    /// α.
    public var coefficient: Double
    /// What f counts, per token.
    public var counting: Counting
    /// p.
    public var probabilities: Probabilities
    /// Over which tokens means are taken.
    public var scope: Scope

    /// An auxiliary loss.
    public init(
      _ kind: Kind = .balance, coefficient: Double = 1, counting: Counting = .all,
      probabilities: Probabilities = .softmax,
      scope: Scope = .batch
    ) {
      self.kind = kind
      self.coefficient = coefficient
      self.counting = counting
      self.probabilities = probabilities
      self.scope = scope
    }

    /// The formula.
    public enum Kind: String, Sendable, CaseIterable {
      /// `α N Σ_i f_i P_i`; f carries no gradient.
      case balance
      /// `α · mean (log Σ_i e^{z_i})²`.
      case z
      /// `α · Var/mean²` of the experts' importance `Σ_t p_ti`.
      case cvSquared = "cv-squared"
    }
    /// What f counts, per token.
    public enum Counting: String, Sendable, CaseIterable {
      /// Every choice: the loss is k at uniform routing.
      case all
      /// Every choice, divided by their number: 1 at uniform routing.
      case mean
      /// The first choice.
      case first
    }
    /// p.
    public enum Probabilities: String, Sendable, CaseIterable {
      case softmax
      /// `s_i / Σ_j s_j`.
      case normalizedScore = "normalized-score"
      /// The multipliers, 0 where not chosen.
      case gate
    }
    /// Over which tokens means are taken.
    public enum Scope: String, Sendable, CaseIterable {
      case batch
      /// The tokens of each sequence; then the mean over sequences.
      case sequence
      /// A larger batch that the call is a part of.
      case global
    }
  }

  /// How the selection bias follows the loads c: `b_i + u·sign(c̄ − c_i)` or `b_i + u·(c̄ − c_i)`.
  public struct BiasUpdate: Sendable, Equatable {
    public var rule: Rule
    /// u.
    public var rate: Double

    /// A bias update.
    public init(_ rule: Rule, rate: Double) {
      self.rule = rule
      self.rate = rate
    }

    /// The rule.
    public enum Rule: String, Sendable, CaseIterable {
      case sign
      case proportional
    }
  }
}
