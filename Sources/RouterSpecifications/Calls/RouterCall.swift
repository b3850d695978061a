/// What a router is asked: T tokens, what every expert makes of them, and the gradient that comes back.
///
/// What is nil is given only to routers whose specification reads it.
///
/// *Source*: docs/router-specifications.md.
public struct RouterCall: Sendable, Equatable {
  /// Whether noise and sampling are on.
  public var mode: Mode
  /// θ, `[tokens][experts]`; −∞ for an expert that the caller masked. A router that takes an input gets this as its input.
  public var logits: [[Double]]
  /// f, `[tokens][experts][width]`.
  public var expertOutputs: [[[Double]]]
  /// ∂L/∂y, `[tokens][width]`.
  public var upstream: [[Double]]
  /// The uniform draws from [0, 1) that a token takes, `[tokens][uniforms]`.
  public var uniforms: [[Double]]
  /// The standard normal draws that a token takes, `[tokens][normals]`.
  public var normals: [[Double]]?
  /// ν, the logits of the noise's scale, `[tokens][experts]`.
  public var noiseLogits: [[Double]]?
  /// b, added to the keys, `[experts]`.
  public var bias: [Double]?
  /// The choice that is forced, `[tokens][chosen]`.
  public var choice: [[Int]]?
  /// The factors of the experts' gates, `[experts]`.
  public var expertScales: [Double]?
  /// x, `[tokens][inputs]`.
  public var inputs: [[Double]]?
  /// The experts as functions of x.
  public var functions: [ExpertFunction]?
  /// The sequence that each token belongs to, `[tokens]`.
  public var sequences: [Int]?
  /// The number of tokens of the larger batch that this one is a part of.
  public var globalTokens: Int?
  /// How many choices fell on each expert in the larger batch, `[experts]`.
  public var globalCounts: [Double]?

  /// Training or evaluation.
  public enum Mode: String, Sendable, CaseIterable {
    case train
    case eval
  }

  /// `f(x) = B tanh(A x) + c`.
  public struct ExpertFunction: Sendable, Equatable {
    /// A, `[hidden][inputs]`.
    public var inner: [[Double]]
    /// B, `[width][hidden]`.
    public var outer: [[Double]]
    /// c, `[width]`.
    public var offset: [Double]

    /// An expert.
    public init(inner: [[Double]], outer: [[Double]], offset: [Double]) {
      self.inner = inner
      self.outer = outer
      self.offset = offset
    }
  }

  /// A call.
  public init(
    mode: Mode = .train, logits: [[Double]], expertOutputs: [[[Double]]], upstream: [[Double]], uniforms: [[Double]]
  ) {
    self.mode = mode
    self.logits = logits
    self.expertOutputs = expertOutputs
    self.upstream = upstream
    self.uniforms = uniforms
  }

  /// The number of tokens.
  public var tokens: Int { logits.count }

  /// The call with some of its tokens, in this order; what belongs to the batch as a whole stays.
  public func selecting(_ tokens: [Int]) -> RouterCall {
    var part = self
    func pick<Row>(_ rows: [Row]) -> [Row] { tokens.map { rows[$0] } }
    part.logits = pick(logits)
    part.expertOutputs = pick(expertOutputs)
    part.upstream = pick(upstream)
    part.uniforms = pick(uniforms)
    part.normals = normals.map(pick)
    part.noiseLogits = noiseLogits.map(pick)
    part.choice = choice.map(pick)
    part.inputs = inputs.map(pick)
    part.sequences = sequences.map(pick)
    return part
  }
}
