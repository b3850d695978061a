import MixtureOfExperts
import RoutingCore
import Synchronization

/// Many runs, several at once, one thread each.
package enum TrainingJobs {
  /// A run and where it goes.
  package struct Job: Sendable {
    package var manifest: RunManifest
    package var folder: String

    package init(_ manifest: RunManifest, below folder: String) {
      self.manifest = manifest
      self.folder =
        "\(folder)/\(manifest.router.label)/rate-\(manifest.plan.learningRate)/seed-\(manifest.seed)"
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
    let folder: RunFolder
    if RunFiles.names(in: job.folder)?.contains("manifest.json") ?? false {
      let manifest = try RunFolder.manifest(of: job.folder)
      guard manifest.commonPart == job.manifest.commonPart else {
        throw Refusal(.wrongUsage, "\(job.folder): holds a run of another task or plan")
      }
      if let metrics = try? RunFolder.metrics(of: job.folder, manifest.plan), metrics.isComplete(manifest.plan) {
        return
      }
      folder = try RunFolder(opening: job.folder)
    } else {
      folder = try RunFolder(creating: job.folder, job.manifest)
    }
    _ = try Trainer(folder, keepsCheckpoints: false).run(
      threads: 1, onProgress: onProgress, isInterrupted: isInterrupted)
  }
}
