import FileFormats
import MixtureOfExperts
import RoutingCore
import Testing
import _TestSupport

@testable import RouterTraining

/// The Switch language model of workload W4 against PyTorch: the same weights, data and optimiser give the same losses
/// (Fixtures/generators/switch_transformer_curve.py).
struct LossCurveTests {
  private static func model() throws -> (SwitchLanguageModel, SafeTensors) {
    let file = try SafeTensors(Fixtures.bytes("reference/switch-transformer-curve.safetensors"))
    var shape = TransformerShape()
    (shape.width, shape.heads, shape.layers, shape.hidden, shape.experts) = (24, 3, 4, 32, 4)
    var settings = SwitchLanguageModel.Settings()
    (settings.context, settings.batch, settings.heldOutPercent) = (16, 4, 0)
    let text = try file.integers("data").map { Int32($0) }
    let model = try SwitchLanguageModel(
      shape, text: text, vocabulary: 256, router: SwitchRouter(jitter: .none), settings: settings)
    try model.setWeights(file)
    return (model, file)
  }

  /// Twenty steps of Adam at 1e-3. PyTorch's own losses in Float32 and Float64 differ by up to 8e-7 of themselves; 5e-6 is what is
  /// allowed here.
  @Test(arguments: [1, 2])
  func isPyTorchs(threads: Int) throws {
    let (model, file) = try Self.model()
    let data = try file.integers("data").map { Int32($0) }
    let rows = (0..<4).map { data[17 * $0..<17 * $0 + 17] }
    let (tokens, targets) = (rows.flatMap { $0.dropLast() }, rows.flatMap { $0.dropFirst() })
    let adam = AdamOptimiser(model.parameters, beta2: 0.999)
    let expected = try file.numbers("losses")
    #expect(expected.count == 20)
    for (k, loss) in expected.enumerated() {
      let result = try model.step(k, tokens: tokens, targets: targets, threads: threads)
      adam.update(rate: 1e-3, threads: threads)
      #expect((result.loss + result.auxiliary - loss).magnitude < 5e-6 * loss, "step \(k)")
    }
    // They do fall.
    #expect(expected[19] < expected[0] - 0.5)
  }

  @Test func weightsReadBack() throws {
    let (model, file) = try Self.model()
    let written = try SafeTensors(model.weights(metadata: [("by", "a test")]))
    #expect(written.metadata == ["by": "a test"])
    for parameter in model.parameters {
      #expect(try written.numbers(parameter.name) == file.numbers(parameter.name), "\(parameter.name)")
      parameter.value.clear()
    }
    try model.setWeights(written)
    #expect(model.weights(metadata: [("by", "a test")]) == (try Self.model().0).weights(metadata: [("by", "a test")]))
  }

  @Test func otherWeightsAreRefused() throws {
    let (model, _) = try Self.model()
    let before = model.weights()
    let layout = SafeTensorsLayout(tensors: [("tokens", [1, 1])], type: .f32, metadata: [])
    let file = try SafeTensors(layout.header + [0, 0, 0, 0])
    #expect(throws: InvalidInput("tokens", "expected a tensor F32 [256, 24], got F32 [1, 1]")) {
      try model.setWeights(file)
    }
    #expect(model.weights() == before)
  }
}
