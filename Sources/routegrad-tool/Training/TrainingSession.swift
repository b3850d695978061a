import CStandardLibrary
import RouteGrad
import RouteGradTraining
import RoutingCore

/// A run of `routegrad train` on the terminal.
enum TrainingSession {
  /// Begins a run.
  ///
  /// - Parameter note: what is to be said on standard error once nothing is refused any more.
  static func begin(
    _ settings: any ModelSettings, _ options: TrainingOptions, _ runOptions: RunOptions, plan: TrainingPlan,
    note: () throws -> String? = { nil }
  ) throws {
    let manifest = RunManifest(
      settings: settings, router: try TrainingRouter(options.router), seed: options.seed, plan: options.plan(plan),
      version: routeGradVersion, commit: commit)
    do throws(InvalidInput) {
      try manifest.validate()
    } catch {
      throw Refusal(option: error)
    }
    // Before a folder is made: whatever is wrong with settings or files.
    _ = try manifest.model()
    try run(Trainer(RunFolder(creating: options.output, manifest)), runOptions, note: note)
  }

  /// What audits that try experts one by one will take; nil if there are none.
  private static func cost(_ manifest: RunManifest) throws(InvalidInput) -> String? {
    let plan = manifest.plan
    guard plan.auditTokens > 0, let every = plan.auditEvery else { return nil }
    let cost = try manifest.settings.contrastCost(manifest.router, tokens: plan.auditTokens)
    let audits = plan.steps / every + (plan.steps.isMultiple(of: every) ? 0 : 1)
    return
      "routegrad: each of \(audits) audit\(audits == 1 ? "" : "s") tries \(cost.experts) experts for \(plan.auditTokens) token"
      + "\(plan.auditTokens == 1 ? "" : "s") in \(cost.layers) layer\(cost.layers == 1 ? "" : "s"): at most \(cost.passes) forward and "
      + "backward passes of one sequence"
  }

  /// Trains, and says on standard output how it ended.
  static func run(
    _ makeTrainer: @autoclosure () throws -> Trainer, _ options: RunOptions, note: () throws -> String? = { nil }
  ) throws {
    // From before there is a folder, so that whatever an interrupt finds can be gone on with.
    Interruption.deferInterrupts()
    let trainer = try makeTrainer()
    if !options.quiet {
      for note in [try note(), try cost(trainer.folder.manifest)].compactMap({ $0 }) { Terminal.complain(note) }
    }
    let line = ProgressLine(isShown: !options.quiet)
    let (start, firstStep) = (ContinuousClock.now, trainer.step)
    let outcome: Trainer.Outcome
    do {
      defer { line.clear() }
      outcome = try trainer.run(
        threads: options.threadCount, onProgress: { line.show($0.line(since: start, firstStep: firstStep)) },
        isInterrupted: { Interruption.isRequested })
    }
    let folder = trainer.folder.path
    switch outcome {
    case .finished:
      let metrics = try RunFolder.metrics(of: folder, trainer.folder.manifest.plan)
      let loss = metrics.lines.last?.loss.map { ", held-out loss \($0)" } ?? ""
      try Output.standard.write("\(folder.onOneLine): \(trainer.step) steps\(loss)\n")
      if let line = metrics.lines.last(where: { $0.networkAudit != nil }), let audit = line.networkAudit {
        try Output.standard.write(audit.text(step: line.step, style: Terminal.style))
      }
    case .diverged:
      throw Refusal(
        .wrongData, "\(folder): step \(trainer.step): the loss is not finite any more; lower '--learning-rate'")
    case .interrupted:
      throw Refusal(
        .interrupted,
        "interrupted and saved after \(trainer.step) steps; go on with: routegrad train resume \(folder)")
    }
  }

  /// The commit of the program, where its builder says so in the environment.
  static var commit: String? { getenv("ROUTEGRAD_COMMIT").map { String(cString: $0) } }
}

extension Trainer.Progress {
  /// `120/800 steps, loss 0.412, 3 s left`.
  func line(since start: ContinuousClock.Instant, firstStep: Int = 0) -> String {
    let elapsed = (ContinuousClock.now - start) / .seconds(1)
    let left = elapsed / Double(max(step - firstStep, 1)) * Double(steps - step)
    let figure = loss.map { ", loss \(Figures.short($0, digits: 4))" } ?? ""
    return "\(step)/\(steps) steps\(figure), \(Self.words(seconds: left)) left"
  }

  private static func words(seconds: Double) -> String {
    let seconds = Int(min(seconds, 1e9).rounded(.up))
    return seconds < 120 ? "\(seconds) s" : seconds < 7200 ? "\(seconds / 60) min" : "\(seconds / 3600) h"
  }
}
