import FileFormats
import MixtureOfExperts
import RoutingCore

/// Trains a model as a plan says, into a folder.
///
/// The bytes of metrics and checkpoints are a function of the manifest alone: not of threads, nor of how often the run was
/// interrupted.
public final class Trainer {
  package let folder: RunFolder
  package let model: any TrainableModel
  private let plan: TrainingPlan
  private let optimiser: AdamOptimiser
  private let keepsCheckpoints: Bool
  /// Whether there is a checkpoint of the end, too.
  package var keepsLast = true
  /// The number of steps done.
  public private(set) var step = 0
  private var metrics: RunMetrics
  private var tally = LossTally()
  /// The norm of the last step's gradients, if they are clipped, until the line that says it.
  private var gradientNorm: Double?

  /// How a run ended.
  public enum Outcome: Sendable, Equatable {
    /// All steps are done, or patience is at its end.
    case finished
    /// The loss is not finite any more.
    case diverged
    /// The caller asked for it; everything is saved.
    case interrupted
  }

  /// What is known while a run goes on.
  public struct Progress: Sendable {
    public var step, steps: Int
    /// The last held-out loss.
    public var loss: Double?
  }

  /// Begins a run, or goes on with it where its newest checkpoint is.
  ///
  /// - Parameters:
  ///   - folder: where it is.
  ///   - previous: go on from the checkpoint before the newest.
  ///   - keepsCheckpoints: whether there are any; a run without them begins anew.
  public init(_ folder: RunFolder, previous: Bool = false, keepsCheckpoints: Bool = true) throws(Refusal) {
    self.folder = folder
    self.keepsCheckpoints = keepsCheckpoints
    plan = folder.manifest.plan
    model = try folder.manifest.model()
    optimiser = AdamOptimiser(model.parameters, beta2: plan.beta2, clip: plan.clip)
    let restored = try folder.restore(previous: previous, into: Checkpoint.tensors(of: model, optimiser))
    metrics = try folder.cutMetrics(to: restored)
    if let checkpoint = restored?.checkpoint {
      step = checkpoint.step
      tally = checkpoint.tally
      gradientNorm = checkpoint.gradientNorm
      optimiser.resume(after: step)
    }
  }

  /// Trains to the end.
  ///
  /// - Parameters:
  ///   - threads: changes nothing but the time.
  ///   - onProgress: called after every step.
  ///   - isInterrupted: asked after every step, and often in an audit, then from any thread, by one at a time; if true, the state is
  ///     saved.
  public func run(
    threads: Int, onProgress: (Progress) -> Void = { _ in }, isInterrupted: () -> Bool = { false }
  ) throws(Refusal) -> Outcome {
    do throws(Refusal) {
      return try train(threads: threads, onProgress: onProgress, isInterrupted: isInterrupted)
    } catch {
      // An audit was: its line is still to be written.
      guard error.code == .interrupted else { throw error }
      return try save() ? .interrupted : .diverged
    }
  }

  /// Whether the steps done are to have a line.
  private var hasLine: Bool {
    step == 0 || step == plan.steps || plan.isDue(plan.evaluateEvery, step) || plan.isDue(plan.auditEvery, step)
  }

  private func train(
    threads: Int, onProgress: (Progress) -> Void, isInterrupted: () -> Bool
  ) throws(Refusal) -> Outcome {
    if hasLine, metrics.lines.last.map({ $0.step < step }) ?? true {
      try evaluate(threads: threads, isInterrupted: isInterrupted)
    }
    while !metrics.isComplete(plan) {
      if isInterrupted() { return try save() ? .interrupted : .diverged }
      let result = try namingStep { () throws(Refusal) in try model.step(step, threads: threads) }
      guard result.loss.isFinite, result.auxiliary.isFinite else {
        try append(["step": JSONValue(step), "heldOut": .object([])], stopped: .diverged)
        break
      }
      step += 1
      gradientNorm = optimiser.update(rate: plan.rate(step: step), threads: threads)
      tally.loss += result.loss
      tally.auxiliary += result.auxiliary
      tally.count += 1
      if hasLine { try evaluate(threads: threads, isInterrupted: isInterrupted) } else { gradientNorm = nil }
      if plan.isDue(plan.checkpointEvery, step), !metrics.isComplete(plan) { try save() }
      onProgress(Progress(step: step, steps: plan.steps, loss: metrics.lines.last?.loss))
    }
    if metrics.lines.last?.stopped == .diverged { return .diverged }
    return try keepsLast ? (save() ? .finished : .diverged) : .finished
  }

  /// Saves a checkpoint, unless a step has just made numbers of it that are not finite: the next step will say so, and what was
  /// saved before is worth more.
  ///
  /// - Returns: whether all numbers are finite.
  @discardableResult
  private func save() throws(Refusal) -> Bool {
    guard keepsCheckpoints else { return true }
    let tensors = Checkpoint.tensors(of: model, optimiser)
    for (_, tensor) in tensors {
      guard UnsafeBufferPointer(start: tensor.elements, count: tensor.count).allSatisfy(\.isFinite) else {
        return false
      }
    }
    try folder.save(
      Checkpoint(
        step: step, metricsBytes: folder.metricsBytes, tally: tally, gradientNorm: gradientNorm, tensors: tensors))
    return true
  }
}

// MARK: - Metrics

extension Trainer {
  /// Adds a line about the model as it is.
  ///
  /// - Throws: ``Refusal`` of code `interrupted` if an audit was; there is no line then.
  private func evaluate(threads: Int, isInterrupted: () -> Bool) throws(Refusal) {
    let figures = try namingStep { () throws(Refusal) in try model.evaluate(threads: threads) }
    let count = Double(tally.count)
    var members: [JSONValue.Member] = [
      .init(key: "step", value: JSONValue(step)),
      .init(
        key: "heldOut",
        value: .object(
          figures.sorted { $0.key < $1.key }.map {
            .init(key: $0.key, value: JSONValue($0.value.isFinite ? $0.value : nil))
          })),
    ]
    if tally.count > 0 {
      members += [
        .init(key: "trainingLoss", value: JSONValue(tally.loss / count)),
        .init(key: "auxiliaryLoss", value: JSONValue(tally.auxiliary / count)),
        .init(key: "learningRate", value: JSONValue(plan.rate(step: step))),
      ]
    }
    if let gradientNorm {
      members.append(.init(key: "gradientNorm", value: JSONValue(gradientNorm.isFinite ? gradientNorm : nil)))
    }
    let routing = model.routing
    if !routing.isEmpty { members.append(.init(key: "routers", value: .array(routing.map(\.json)))) }
    // Not at step 0, where nothing depends on the router yet.
    if step > 0, plan.auditEvery != nil, step == plan.steps || plan.isDue(plan.auditEvery, step) {
      let audit = try namingStep { () throws(Refusal) in
        try model.audit(
          AuditRequest(step: step, tokens: plan.auditTokens, threads: threads), continuing: { !isInterrupted() })
      }
      members.append(.init(key: "audit", value: audit?.json ?? .null))
    }
    (tally, gradientNorm) = (LossTally(), nil)
    let isWorse = figures["loss"].map { !$0.isFinite } ?? false
    let since = metrics.best.map { (figures["loss"] ?? -.infinity) < $0.loss ? 0 : $0.evaluationsSince + 1 } ?? 0
    let isOver = plan.patience.map { since >= $0 } ?? false
    try append(.object(members), stopped: isWorse ? .diverged : isOver ? .patience : nil)
  }

  private func append(_ line: JSONValue, stopped: RunMetrics.Stop?) throws(Refusal) {
    guard case .object(var members) = line else { preconditionFailure("a line of metrics is an object") }
    if let stopped { members.append(.init(key: "stopped", value: .string(stopped.rawValue))) }
    let line = JSONValue.object(members)
    do throws(InvalidInput) {
      metrics.lines.append(try RunMetrics.Line(line, after: metrics.lines.last, plan))
    } catch {
      preconditionFailure("a line of metrics reads back, got \(error)")
    }
    try folder.append(line)
  }

  /// What `body` gives; what is wrong is said of this run and step.
  private func namingStep<Result>(_ body: () throws(Refusal) -> Result) throws(Refusal) -> Result {
    do throws(Refusal) {
      return try body()
    } catch {
      throw Refusal(error.code, "\(folder.path): step \(step): \(error)")
    }
  }
}
