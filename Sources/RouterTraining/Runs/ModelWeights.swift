import FileFormats
import MixtureOfExperts
import RoutingCore

/// A model's parameters as a `.safetensors` file, to exchange them with other programs: F32, under their names, as matrices (a
/// vector is one row; the experts of a layer stand one below the other). A run's checkpoint is such a file, too.
extension TrainableModel {
  /// The file.
  package func weights(metadata: [(String, String)] = []) -> [UInt8] {
    let parameters = parameters
    let layout = SafeTensorsLayout(
      tensors: parameters.map { ($0.name, [$0.value.rows, $0.value.columns]) }, type: .f32, metadata: metadata)
    var bytes = layout.header
    bytes.reserveCapacity(layout.fileSize)
    for parameter in parameters {
      bytes += SafeTensorsLayout.bytes(
        UnsafeBufferPointer(start: parameter.value.elements, count: parameter.value.count))
    }
    return bytes
  }

  /// Takes parameters from a file, which may have other tensors besides.
  ///
  /// - Throws: `InvalidInput` if one is missing, of another shape or type, or not finite; nothing has changed then.
  package func setWeights(_ file: SafeTensors) throws(InvalidInput) {
    let parameters = parameters
    for parameter in parameters {
      try file.requireFloats(parameter.name, shape: [parameter.value.rows, parameter.value.columns])
    }
    for parameter in parameters { file.copyFloats(parameter.name, to: parameter.value.elements) }
  }
}
