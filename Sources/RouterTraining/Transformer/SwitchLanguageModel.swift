import LayerTensors
import MixtureOfExperts
import RoutingCore

/// A decoder-only Switch Transformer on a text: every step takes windows of the text at random places.
package final class SwitchLanguageModel: TrainableModel {
  /// What decides a model besides its shape.
  package struct Settings: Sendable {
    /// The tokens of a window.
    package var context = 128
    /// The windows of a step.
    package var batch = 16
    /// Of parameters, windows and routing.
    package var seed: UInt64 = 0
    /// The last so many of a hundred tokens are held out.
    package var heldOutPercent = 10
    /// The most held-out windows that are evaluated.
    package var heldOutWindows = 64

    static let contextLimit = Limit.whole(1...1 << 14)
    static let batchLimit = Limit.whole(1...1 << 16)
    static let tokensLimit = Limit<Int>("a batch of at most \(1 << 20) tokens") { $0 <= 1 << 20 }
    static let heldOutLimit = Limit("0 to 99 percent") { (0..<100).contains($0) }

    package init() {}

    /// - Throws: `InvalidInput` for the first setting that is out of range.
    func validate() throws(InvalidInput) {
      try Self.contextLimit.require("context", context)
      try Self.batchLimit.require("batch", batch)
      try Self.tokensLimit.require("batch", batch * context)
      try Self.heldOutLimit.require("heldOutPercent", heldOutPercent)
    }
  }

  package let parameters: [TrainableParameter]
  package let shape: TransformerShape
  package let settings: Settings
  private let network: LanguageNetwork<Float>
  let text: [Int32]
  let vocabulary: Int
  /// The tokens of `text` that are trained on.
  let trained: Int
  let router: any TokenRouter
  /// What is known of a token's gradient when its other experts have been tried.
  let law: ContrastLaw?
  private let plan: SequencePlan
  private var tokens, targets: [Int32]

  /// A model with fresh parameters.
  ///
  /// - Parameters:
  ///   - text: tokens below `vocabulary`.
  ///   - router: one whose gradient needs one output of the layer (see ``TokenRouter/candidates(experts:)``) and at most the token's loss.
  /// - Throws: `InvalidInput` if sizes, text or router do not fit.
  package convenience init(
    _ shape: TransformerShape, text: [Int32], vocabulary: Int, router: any TokenRouter, settings: Settings = Settings()
  ) throws(InvalidInput) {
    try self.init(shape, text: text, vocabulary: vocabulary, router: router, law: nil, settings: settings)
  }

  /// - Parameter law: of the router; nil if its experts are not tried one by one.
  init(
    _ shape: TransformerShape, text: [Int32], vocabulary: Int, router: any TokenRouter, law: ContrastLaw?,
    settings: Settings
  ) throws(InvalidInput) {
    try shape.validate()
    try settings.validate()
    try requireDeepRouter(router, experts: shape.experts)
    let window = settings.context + 1
    trained = text.count - text.count * settings.heldOutPercent / 100
    guard trained >= window else {
      throw InvalidInput("text", "expected at least \(window) tokens to train on, got \(trained)")
    }
    if let k = text.firstIndex(where: { $0 < 0 || $0 >= vocabulary }) {
      throw InvalidInput("text[\(k)]", "expected a token below \(vocabulary), got \(text[k])")
    }
    self.shape = shape
    self.settings = settings
    self.text = text
    self.vocabulary = vocabulary
    self.router = router
    self.law = law
    network = LanguageNetwork(
      shape, vocabulary: vocabulary, context: settings.context, router: router, maximumSequences: settings.batch)
    network.initialise(seed: settings.seed)
    parameters = network.parameters.map { TrainableParameter(name: $0.name, value: $0.value, gradient: $0.gradient) }
    plan = SequencePlan(lengths: Array(repeating: settings.context, count: settings.batch))
    tokens = Array(repeating: 0, count: settings.batch * settings.context)
    targets = tokens
  }

  package var state: [(name: String, tensor: Tensor<Float>)] { network.state }
  package var routing: [RoutingFigures] { network.stack.routing }

  package func step(_ index: Int, threads: Int) throws(Refusal) -> StepResult {
    var random = Philox(seed: settings.seed, stream: RandomStream.order | UInt64(index))
    let places = UInt64(trained - settings.context)
    for row in 0..<settings.batch { take(Int(random.next(upperBound: places)), row: row) }
    return try step(index, tokens: tokens, targets: targets, threads: threads)
  }

  /// The gradients of one batch.
  ///
  /// - Parameters:
  ///   - index: of the step, which decides its noise.
  ///   - tokens: `[batch, context]`.
  ///   - targets: what follows each, `[batch, context]`.
  package func step(
    _ index: Int, tokens: [Int32], targets: [Int32], threads: Int
  ) throws(Refusal) -> StepResult {
    precondition(
      tokens.count == plan.rows && targets.count == plan.rows,
      "expected \(plan.rows) tokens and targets, got \(tokens.count) and \(targets.count)")
    let result = try run(
      tokens, targets, plan, randomness: StepRandomness(seed: settings.seed, step: index), isTraining: true,
      threads: threads)
    return StepResult(loss: result.loss, auxiliary: result.auxiliary, count: plan.rows)
  }

  /// The held-out windows that are evaluated.
  var heldOutWindows: Int { max(min((text.count - trained - 1) / settings.context, settings.heldOutWindows), 0) }

  /// `loss`, the mean −log p of held-out tokens, and `bitsPerToken`; nothing if no window is held out.
  package func evaluate(threads: Int) throws(Refusal) -> [String: Double] {
    let windows = heldOutWindows
    guard windows >= 1 else { return [:] }
    var sum = 0.0
    for first in stride(from: 0, to: windows, by: settings.batch) {
      let count = min(settings.batch, windows - first)
      for row in 0..<count { take(trained + (first + row) * settings.context, row: row) }
      let plan = SequencePlan(lengths: Array(repeating: settings.context, count: count))
      let result = try run(tokens, targets, plan, randomness: nil, isTraining: false, threads: threads)
      sum += result.loss * Double(count)
    }
    let loss = sum / Double(windows)
    return ["loss": loss, "bitsPerToken": loss * 1.4426950408889634]
  }

  /// Takes the window that begins at `place`.
  private func take(_ place: Int, row: Int) {
    for j in 0..<settings.context {
      tokens[row * settings.context + j] = text[place + j]
      targets[row * settings.context + j] = text[place + j + 1]
    }
  }

  private func run(
    _ tokens: [Int32], _ targets: [Int32], _ plan: SequencePlan, randomness: StepRandomness?, isTraining: Bool,
    threads: Int
  ) throws(Refusal) -> (loss: Double, auxiliary: Double) {
    let outcome = tokens.withUnsafeBufferPointer { tokens in
      targets.withUnsafeBufferPointer { targets -> Result<(loss: Double, auxiliary: Double), Refusal> in
        guard let tokens = tokens.baseAddress, let targets = targets.baseAddress else { return .success((0, 0)) }
        return Result { () throws(Refusal) in
          try network.run(
            tokens, targets: targets, plan: plan, randomness: randomness, isTraining: isTraining, threads: threads)
        }
      }
    }
    return try outcome.get()
  }
}

/// Refuses routers that need the loss as a function of the layer's output, which in a deep network is a forward pass of all
/// that follows.
func requireDeepRouter(_ router: any TokenRouter, experts: Int) throws(InvalidInput) {
  guard router.candidates(experts: experts) == 1, router.lossCount(experts: experts) <= 1 else {
    throw InvalidInput(
      "router", "expected one that works at any depth, '\(type(of: router).id)' needs a loss separable by token")
  }
}
