import RouteGrad

/// The exact means of an audit, written to their places in a `.safetensors` file as they are found: together they may be
/// larger than memory. The file gets its name when it is complete.
final class MeanGradientFile: Sendable {
  private let file: AtomicFile
  private let layout: SafeTensorsLayout

  /// - Throws: `Refusal` if it could not be written.
  init(path: String, layer: DumpedLayer, estimators: [any GradientEstimator]) throws(Refusal) {
    layout = SafeTensorsLayout(
      tensors: LayerAudit.meanTensors(of: layer, estimators),
      metadata: [("schema", "routegrad.gradients/1"), ("note", "E[gradient] of the mean loss, by estimator")])
    file = try AtomicFile(replacing: path)
    try file.resize(to: layout.fileSize)
    try file.write(layout.header)
  }

  /// What an audit tells its means.
  var writer: MeanWriter {
    { name, first, values in self.write(name, first: first, values) }
  }

  /// Writes part of a tensor; from any thread.
  func write(_ name: String, first: Int, _ values: UnsafeBufferPointer<Double>) {
    file.write(SafeTensorsLayout.bytes(values), at: layout.offset(of: name, entry: first))
  }

  /// Gives the file its name.
  ///
  /// - Throws: `Refusal` if not everything could be written; nothing is left then.
  func finish() throws(Refusal) { try file.finish() }
}
