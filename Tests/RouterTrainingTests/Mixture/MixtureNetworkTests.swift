import MixtureOfExperts
import Testing
import _TestSupport

@testable import RouterTraining

/// The network in Double against central differences, for a router whose gradient is that of its own loss.
struct MixtureNetworkTests {
  /// Six-point differences with step 1e-3 leave 1e-12 from rounding as long as neither a ReLU nor a choice changes sides; the seed is
  /// one where none does.
  @Test(arguments: MixtureTask.Kind.allCases)
  func gradientsAreThoseOfCentralDifferences(kind: MixtureTask.Kind) throws {
    let shape = MixtureNetworkShape(experts: 3, width: 5, hidden: 4)
    let network = MixtureNetwork<Double>(
      kind, router: try TrainingRouter("switch:jitter=none"), shape: shape,
      auxiliary: AuxiliaryWeights(loadBalance: 0.01, zLoss: 0.02), tokens: 6)
    network.parameters.initialise(seed: 5)
    let batch = MixtureTask(kind, shared: 0.5, seed: 5).batch(1, tokens: 6)
    func loss(isTraining: Bool = false) throws -> Double {
      let result = try network.run(batch, randomness: LayerRandomness(seed: 1), isTraining: isTraining)
      return result.loss + result.auxiliary
    }
    _ = try loss(isTraining: true)
    let step = 1e-4
    for (value, gradient) in zip(network.parameters.all, network.gradients.all) {
      let expected = gradient.tensor.values
      for k in expected.indices {
        let x = value.tensor.elements[k]
        var sum = 0.0
        for (j, weight) in [(1.0, 3.0 / 4), (2, -3.0 / 20), (3, 1.0 / 60)] {
          value.tensor.elements[k] = x + j * step
          let above = try loss()
          value.tensor.elements[k] = x - j * step
          sum += weight * (above - (try loss()))
        }
        value.tensor.elements[k] = x
        expectClose(sum / step, expected[k], within: 1e-9, "\(value.name)[\(k)]")
      }
    }
  }

  /// Data and initialisation do not depend on the router.
  @Test func routersBeginWithTheSameParameters() throws {
    let a = MixtureModel(MixtureSettings(), router: try TrainingRouter("switch"), seed: 4)
    let b = MixtureModel(MixtureSettings(), router: try TrainingRouter("surrogate-experts"), seed: 4)
    for parameter in a.parameters {
      let other = try #require(b.parameters.first { $0.name == parameter.name })
      #expect(other.value.values == parameter.value.values)
    }
  }
}
