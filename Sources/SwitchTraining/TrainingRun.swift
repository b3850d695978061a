import MixtureOfExperts
import RoutingCore

/// Everything that decides the bytes of a run.
public struct TrainingSettings: Sendable {
  public var task: MixtureTask.Kind = .regression
  public var shared = 0.75
  public var seed: UInt64 = 0
  public var steps = 800
  public var batch = 256
  public var loadBalance = 0.01
  public var learningRate = 0.02
  public var warmUp = 20
  public var evaluateEvery = 25
  public var heldOut = 1024
  public var shape = MixtureNetworkShape()
  public var router: TrainingRouter

  public init(router: TrainingRouter) { self.router = router }
}

/// One training run of ``MixtureTask``.
public enum TrainingRun {
  /// The losses on held-out tokens, at every multiple of `evaluateEvery` from step 0.
  public static func run(_ settings: TrainingSettings) throws(LayerError) -> [(step: Int, loss: Double)] {
    let task = MixtureTask(settings.task, shared: settings.shared, seed: settings.seed)
    let network = MixtureNetwork<Float>(
      settings.task, router: settings.router, shape: settings.shape, loadBalance: settings.loadBalance,
      tokens: max(settings.batch, settings.heldOut))
    network.parameters.initialise(seed: settings.seed)
    var adam = Adam(network.parameters, network.gradients)
    let heldOut = task.heldOut(tokens: settings.heldOut)
    let unit = settings.task == .regression ? variance(heldOut.targets) : 1
    var curve: [(step: Int, loss: Double)] = []
    func evaluate(_ step: Int) throws(LayerError) {
      curve.append((step, try network.run(heldOut, randomness: nil, isTraining: false) / unit))
    }
    try evaluate(0)
    for step in 1...settings.steps {
      let batch = task.batch(step, tokens: settings.batch)
      _ = try network.run(
        batch, randomness: LayerRandomness(seed: settings.seed, stream: 1 << 61 | UInt64(step * settings.batch)),
        isTraining: true)
      adam.update(rate: settings.learningRate * min(1, Double(step) / Double(settings.warmUp)))
      if step.isMultiple(of: settings.evaluateEvery) { try evaluate(step) }
    }
    return curve
  }

  /// The variance of the targets about the mean of each output.
  private static func variance(_ targets: [Double]) -> Double {
    let k = MixtureTask.outputs
    let rows = targets.count / k
    var sum = 0.0
    for j in 0..<k {
      let column = (0..<rows).map { targets[$0 * k + j] }
      let mean = column.reduce(0, +) / Double(rows)
      sum += column.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    }
    return sum / Double(targets.count)
  }
}
