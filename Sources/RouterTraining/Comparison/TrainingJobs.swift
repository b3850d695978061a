import MixtureOfExperts
import RoutingCore
import Synchronization

/// Many runs, several at once, one thread each.
package enum TrainingJobs {
  /// A run and where it goes.
  package struct Job: Sendable {
    package var manifest: RunManifest
    package var folder: String

    /// - Parameter weights: those of the auxiliary losses, where they are not the task's own.
    package init(_ manifest: RunManifest, below folder: String, weights: AuxiliaryWeights? = nil) {
      self.manifest = manifest
      let point =
        "rate-\(manifest.plan.learningRate)"
        + (weights.map { ",load-balance-\($0.loadBalance),z-loss-\($0.zLoss)" } ?? "")
      self.folder = "\(folder)/\(manifest.router.label)/\(point)/seed-\(manifest.seed)"
    }

    /// Whether the run has begun.
    ///
    /// - Throws: ``Refusal`` if the folder holds another one.
    package func hasBegun() throws(Refusal) -> Bool {
      guard RunFiles.names(in: folder)?.contains("manifest.json") ?? false else { return false }
      guard try RunFolder.manifest(of: folder).commonPart() == manifest.commonPart() else {
        throw Refusal(.wrongUsage, "\(folder): holds a run of another task or plan")
      }
      return true
    }

    /// The metrics of the run; nil while it is not complete.
    package func metrics() throws(Refusal) -> RunMetrics? {
      guard try hasBegun(), let metrics = try? RunFolder.metrics(of: folder, manifest.plan),
        metrics.isComplete(manifest.plan)
      else { return nil }
      return metrics
    }
  }

  /// What happens to job `index`: a step was made, or it is done (nil).
  package typealias Event = @Sendable (_ index: Int, _ progress: Trainer.Progress?) -> Void

  /// Trains what is not complete yet.
  ///
  /// - Returns: whether everything is done, and nothing was interrupted.
  /// - Throws: the first ``Refusal``, in the order of the jobs.
  package static func run(
    _ jobs: [Job], threads: Int, onEvent: Event = { _, _ in }, isInterrupted: @escaping @Sendable () -> Bool = { false }
  ) throws(Refusal) -> Bool {
    let failures = Mutex<[Int: Refusal]>([:])
    concurrently(jobs.count, threads: threads) { k in
      guard !isInterrupted(), failures.withLock({ $0.isEmpty }) else { return }
      do throws(Refusal) {
        try run(jobs[k], onProgress: { onEvent(k, $0) }, isInterrupted: isInterrupted)
      } catch {
        failures.withLock { $0[k] = error }
      }
      onEvent(k, nil)
    }
    if let (_, failure) = failures.withLock({ $0.min { $0.key < $1.key } }) { throw failure }
    return !isInterrupted()
  }

  private static func run(
    _ job: Job, onProgress: (Trainer.Progress) -> Void, isInterrupted: () -> Bool
  ) throws(Refusal) {
    guard try job.metrics() == nil else { return }
    let folder =
      try job.hasBegun() ? RunFolder(opening: job.folder) : RunFolder(creating: job.folder, job.manifest)
    // Where the plan has none a run takes a second, and one that is not complete begins anew.
    let trainer = try Trainer(folder, keepsCheckpoints: job.manifest.plan.checkpointEvery != nil)
    trainer.keepsLast = false
    let outcome = try trainer.run(threads: 1, onProgress: onProgress, isInterrupted: isInterrupted)
    // Nobody goes on from here.
    if outcome != .interrupted { folder.removeCheckpoints() }
  }
}
