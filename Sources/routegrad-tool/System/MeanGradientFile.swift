import CStandardLibrary
import RouteGrad
import Synchronization

/// The exact means of an audit, written to their places in a `.safetensors` file as they are found: together they may be
/// larger than memory. The file gets its name when it is complete.
final class MeanGradientFile: Sendable {
  private let path: String
  private let file: UnfinishedFile
  private let layout: SafeTensorsLayout
  private let isBroken = Atomic(false)

  /// - Throws: ``Failure`` if it could not be written.
  init(path: String, layer: DumpedLayer, estimators: [any GradientEstimator]) throws(Failure) {
    self.path = path
    layout = SafeTensorsLayout(
      tensors: LayerAudit.meanTensors(of: layer, estimators),
      metadata: [("schema", "routegrad.gradients/1"), ("note", "E[gradient] of the mean loss, by estimator")])
    guard let file = UnfinishedFile(replacing: path, mode: 0o666) else { throw Self.unwritable(path) }
    self.file = file
    guard ftruncate(file.descriptor, off_t(layout.fileSize)) == 0, write(layout.header, at: 0) else {
      throw Self.unwritable(path)
    }
  }

  /// What an audit tells its means.
  var writer: MeanWriter {
    { name, first, values in self.write(name, first: first, values) }
  }

  /// Writes part of a tensor; from any thread.
  func write(_ name: String, first: Int, _ values: UnsafeBufferPointer<Double>) {
    if !write(SafeTensorsLayout.bytes(values), at: layout.offset(of: name, entry: first)) {
      isBroken.store(true, ordering: .relaxed)
    }
  }

  /// Gives the file its name.
  ///
  /// - Throws: ``Failure`` if not everything could be written; nothing is left then.
  func finish() throws(Failure) {
    guard !isBroken.load(ordering: .relaxed), file.complete() else { throw Self.unwritable(path) }
  }

  private func write(_ bytes: [UInt8], at offset: Int) -> Bool {
    bytes.withUnsafeBytes { buffer in
      var start = 0
      while start < buffer.count {
        let count = pwrite(
          file.descriptor, buffer.baseAddress.map { $0 + start }, buffer.count - start, off_t(offset + start))
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return false }
        start += count
      }
      return true
    }
  }

  private static func unwritable(_ path: String) -> Failure {
    Failure(.noOutput, "\(path): cannot be written: \(String(cString: strerror(errno)))")
  }
}
