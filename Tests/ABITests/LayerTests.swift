import CRouteGrad
import CStandardLibrary
import RouteGrad
import Testing

/// Layers from arrays; that they are those of files is compared in Tests/PythonTests/test_layers.py.
struct LayerTests {
  /// Calls `body` with a layer of one token, two experts, and one of everything else, with labels of two classes for its loss.
  private func withLayer<Result>(_ body: (inout rg_layer) -> Result) -> Result {
    let numbers: [Double] = [0.5, -1]
    let labels: [Int64] = [1, 0]
    return numbers.withUnsafeBufferPointer { numbers in
      labels.withUnsafeBufferPointer { labels in
        "relu".withCString { activation in
          var layer = rg_layer()
          layer.size = MemoryLayout<rg_layer>.size
          (layer.tokens, layer.inputs, layer.hidden, layer.outputs, layer.experts) = (1, 1, 1, 1, 2)
          layer.activation = activation
          layer.input = numbers.baseAddress
          layer.router_weight = numbers.baseAddress
          layer.weight1 = numbers.baseAddress
          layer.weight2 = numbers.baseAddress
          layer.unembedding = numbers.baseAddress
          layer.classes = 2
          layer.labels = labels.baseAddress
          return body(&layer)
        }
      }
    }
  }

  private func audit(
    estimators: String? = "exact,conventional", threads: Int = 1, _ change: (inout rg_layer) -> Void = { _ in }
  ) throws -> String {
    var report: OpaquePointer?
    let status = withLayer { layer in
      change(&layer)
      return rg_audit_layer(&layer, estimators, "expected-loss", nil, 0, threads, &report)
    }
    try require(status)
    defer { rg_report_destroy(report) }
    return String(cString: try #require(rg_report_json(report)))
  }

  @Test func isAudited() throws {
    let json = try audit()
    #expect(json.contains("routegrad.audit/1") && json.contains("conventional"))
    #expect(try audit(threads: 8) == json, "the number of threads changes nothing")
    #expect(try audit(estimators: nil).contains("sparsemixer"))
  }

  /// What a caller keeps of the buffers asked for.
  private final class Buffers {
    var asked: [String: [Int]] = [:]
    var given: [String: UnsafeMutablePointer<Double>] = [:]
    var wants: (String) -> Bool = { _ in true }
    var status: Int32 = 0

    deinit { for buffer in given.values { buffer.deallocate() } }
  }

  private func gradients(_ buffers: Buffers, estimators: String = "exact,conventional", threads: Int = 1) throws {
    var report: OpaquePointer?
    let status = withLayer { layer in
      // A squared error against the input's number instead.
      (layer.target, layer.unembedding, layer.labels, layer.classes) = (layer.input, nil, nil, 0)
      return rg_audit_layer_gradients(
        &layer, estimators, "expected-loss", nil, 0, threads,
        { context, name, shape, rank, buffer in
          let buffers = Unmanaged<Buffers>.fromOpaque(context!).takeUnretainedValue()
          let name = String(cString: name!)
          let extents = Array(UnsafeBufferPointer(start: shape, count: rank))
          buffers.asked[name] = extents
          if buffers.wants(name) {
            let made = UnsafeMutablePointer<Double>.allocate(capacity: extents.reduce(1, *))
            buffers.given[name] = made
            buffer?.pointee = made
          }
          return buffers.status
        }, Unmanaged.passUnretained(buffers).toOpaque(), &report)
    }
    rg_report_destroy(report)
    try require(status)
  }

  /// One token x = 0.5, θ = (0.25, −0.5), W₁ = W₂ = (0.5, −1): f = (0.125, 0), so that the second expert gives no gradient.
  @Test(arguments: [1, 8]) func meansGoToTheCallersBuffers(threads: Int) throws {
    let buffers = Buffers()
    try gradients(buffers, threads: threads)
    #expect(buffers.asked.count == 8)
    #expect(buffers.asked["exact/experts.w1"] == [2, 1, 1] && buffers.asked["conventional/input"] == [1, 1])
    let p = 1 / (1 + exp(-0.75))
    let (f, slope) = (0.125, p * 0.125 - 0.5)
    // L = p ½(pf − ½)² + (1 − p) ½·½², by p, and then by θ₁
    let byLogit = p * (1 - p) * (0.5 * slope * slope - 0.125 + p * slope * f)
    let exact = try #require(buffers.given["exact/router.weight"])
    #expect(abs(exact[0] - 0.5 * byLogit) < 1e-15 && abs(exact[1] + 0.5 * byLogit) < 1e-15)
    let conventional = try #require(buffers.given["conventional/experts.w2"])
    #expect(abs(conventional[0] - p * slope * p * 0.25) < 1e-15 && conventional[1] == 0)
  }

  @Test func meansThatAreNotWantedAreLeftOut() throws {
    let buffers = Buffers()
    buffers.wants = { $0 == "exact/input" }
    try gradients(buffers)
    #expect(buffers.given.count == 1 && buffers.asked.count == 8)
    let failing = Buffers()
    failing.status = 7
    #expect {
      try gradients(failing)
    } throws: { error in
      (error as? CFailure)?.status == RG_CALLBACK_FAILED
        && (error as? CFailure)?.message.contains("the buffer function failed with status 7, asked for exact/") == true
    }
    #expect(failing.asked.count == 1, "it is not asked again")
    var report: OpaquePointer?
    expectRefusal(
      rg_audit_layer_gradients(nil, nil, "expected-loss", nil, 0, 1, nil, nil, &report), RG_INVALID_ARGUMENT,
      "buffer: expected a pointer")
  }

  @Test func refusals() {
    func refused(_ status: rg_status, _ part: String, threads: Int = 1, _ change: (inout rg_layer) -> Void = { _ in }) {
      do {
        _ = try audit(threads: threads, change)
        Issue.record("\(part) was taken")
      } catch {
        #expect((error as? CFailure)?.status == status)
        #expect((error as? CFailure)?.message.contains(part) == true, "\(error)")
      }
    }
    refused(RG_INVALID_ARGUMENT, "layer.size") { $0.size = 1 }
    refused(RG_INVALID_ARGUMENT, "layer.tokens") { $0.tokens = 0 }
    refused(RG_INVALID_ARGUMENT, "layer.hidden") { $0.hidden = -1 }
    refused(RG_INVALID_ARGUMENT, "layer.classes") { $0.classes = .max }
    refused(RG_INVALID_ARGUMENT, "activation") { $0.activation = nil }
    refused(RG_INVALID_ARGUMENT, "input: expected a pointer") { $0.input = nil }
    refused(RG_INVALID_ARGUMENT, "router.weight: expected a pointer") { $0.router_weight = nil }
    refused(RG_INVALID_ARGUMENT, "got both") { $0.target = $0.input }
    refused(RG_INVALID_DATA, "labels[0]: expected a class from 0 to 0") { $0.classes = 1 }
    refused(RG_INVALID_ARGUMENT, "threads", threads: 0)
    refused(RG_INVALID_ARGUMENT, "adds_residual") { ($0.adds_residual, $0.outputs) = (1, 2) }
    expectRefusal(rg_audit_layer(nil, nil, "expected-loss", nil, 0, 1, nil), RG_INVALID_ARGUMENT, "report")
  }
}
