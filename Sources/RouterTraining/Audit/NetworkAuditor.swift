import LayerTensors
import MixtureOfExperts
import RoutingCore
import Synchronization

/// Audits every Switch layer of a network, in Double, with copies of its parameters: nothing of the network that trains is touched.
struct NetworkAuditor<Network: AuditedNetwork> {
  var router: any TokenRouter
  /// Nil for routers whose experts cannot be tried one by one.
  var law: ContrastLaw?
  /// Held-out sequences.
  var batch: Network.Batch
  var seed: UInt64
  /// A network with the router given: for the whole batch, or for one sequence and without a limit of capacity.
  var make: (_ router: any TokenRouter, _ isAlone: Bool) -> Network
  var parameters: [TrainableParameter]
  var state: [(name: String, tensor: Tensor<Float>)]

  /// An audit's batch holds as many sequences as make up at most so many tokens.
  static var tokens: Int { 1024 }

  /// - Returns: nil if there is no Switch layer, or a number is not finite.
  /// - Throws: ``AuditRequest/calledOff``.
  func run(_ request: AuditRequest, continuing: () -> Bool) throws(Refusal) -> NetworkAudit? {
    guard continuing() else { throw AuditRequest.calledOff }
    guard var layers = try layers(request, continuing: continuing) else { return nil }
    if request.tokens > 0, let law {
      guard let contrasts = try contrasts(request, law, continuing: continuing) else { return nil }
      for k in layers.indices { layers[k].contrast = contrasts[k] }
    }
    return layers.isEmpty ? nil : NetworkAudit(layers: layers)
  }

  private func network(_ router: any TokenRouter, isAlone: Bool) -> Network {
    let network = make(router, isAlone)
    network.take(parameters: parameters, state: state)
    return network
  }

  /// One pass over the batch, with the noise of the next step.
  private func layers(_ request: AuditRequest, continuing: () -> Bool) throws(Refusal) -> [NetworkAudit.Layer]? {
    let network = network(router, isAlone: false)
    let places = network.switchLayers
    var found = [NetworkAudit.Layer?](repeating: nil, count: places.count)
    var failure: Refusal?
    try withoutActuallyEscaping(continuing) { (continuing) throws(Refusal) in
      let pass = AuditPass<Double>(factor: 1 / Double(max(batch.targetTokens, 1))) { visit in
        guard failure == nil else { return }
        do throws(Refusal) {
          found[visit.index] = try visit.audit(
            name: places[visit.index].name, threads: request.threads, continuing: continuing)
        } catch {
          failure = error
        }
      }
      try network.run(
        batch, randomness: StepRandomness(seed: seed, step: request.step), audit: pass, threads: request.threads)
    }
    if let failure { throw failure }
    let layers = found.compactMap { $0 }
    return layers.count == places.count ? layers : nil
  }
}

// MARK: - Other experts

extension NetworkAuditor {
  /// A token of a layer.
  private struct Job: Sendable {
    var layer, sequence, row: Int
  }

  /// Copies of a network hold at most so many weights together.
  private static var weightLimit: Int { 1 << 27 }

  /// The tokens, evenly spread over the rows that each layer sees.
  private func jobs(_ layers: [SwitchLayerPlace], tokens: Int) -> [Job] {
    layers.enumerated().flatMap { k, place in
      let plan = batch.plan(ofStack: place.stack)
      let count = min(tokens, plan.rows)
      return (0..<count).map { token in
        let row = (2 * token + 1) * plan.rows / (2 * count)
        // The last sequence that begins there or before.
        let sequence = (0..<plan.count).last { plan.range($0).lowerBound <= row } ?? 0
        return Job(layer: k, sequence: sequence, row: row - plan.range(sequence).lowerBound)
      }
    }
  }

  /// - Returns: nil if a number is not finite.
  private func contrasts(
    _ request: AuditRequest, _ law: ContrastLaw, continuing: () -> Bool
  ) throws(Refusal) -> [NetworkAudit.Contrast?]? {
    let first = worker(law)
    let jobs = jobs(first.layers, tokens: request.tokens)
    let weights = parameters.reduce(0) { $0 + $1.value.count }
    let workers = max(min(request.threads, jobs.count, Self.weightLimit / max(weights, 1)), 1)
    let idle = Mutex([first] + (1..<workers).map { _ in worker(law) })
    let (batch, seed, inner) = (batch, seed, workers == 1 ? request.threads : 1)
    let factor = 1 / Double(max(batch.targetTokens, 1))
    let results = parallelMap(0..<jobs.count, threads: workers, while: continuing) { k, continuing in
      let job = jobs[k]
      guard let worker = idle.withLock({ $0.popLast() }) else { preconditionFailure("every thread has a worker") }
      defer { idle.withLock { $0.append(worker) } }
      return Result { () throws(Refusal) in
        try worker.contrast(
          row: job.row, layer: job.layer, batch: batch.alone(job.sequence),
          randomness: StepRandomness(seed: seed, step: request.step + job.sequence), factor: factor, threads: inner,
          continuing: continuing)
      }
    }
    guard let results else { throw AuditRequest.calledOff }
    var all: [TokenContrast] = []
    for result in results {
      guard let contrast = try result.get() else { return nil }
      all.append(contrast)
    }
    return first.layers.indices.map { k in
      NetworkAudit.Contrast(zip(jobs, all).filter { $0.0.layer == k }.map(\.1))
    }
  }

  private func worker(_ law: ContrastLaw) -> ContrastWorker<Network> {
    ContrastWorker(router: router, law: law) { network($0, isAlone: true) }
  }
}

extension NetworkAudit.Contrast {
  init(_ tokens: [TokenContrast]) {
    var (own, dense) = (GradientSums(), GradientSums())
    for token in tokens {
      own.add(token.own, token.target)
      dense.add(token.dense, token.target)
    }
    let variances = tokens.compactMap(\.totalVariance)
    self.init(
      tokens: tokens.count, targetNorm: own.targetNorm, relativeBias: own.relativeBias,
      relativeDeviation: variances.count == tokens.count ? own.relativeDeviation(variances.reduce(0, +)) : nil,
      cosine: own.cosine, denseRelativeBias: dense.relativeBias, denseCosine: dense.cosine)
  }
}
