// swift-format-ignore-file: AlwaysUseLowerCamelCase

public import CRouteGrad
import CStandardLibrary
import RouteGrad

/// What `rg_report` points to: texts that C reads as long as the handle lives.
final class ReportHandle: @unchecked Sendable {
  let text: UnsafeMutablePointer<CChar>?
  let json: UnsafeMutablePointer<CChar>?

  init(text: String, json: String) {
    self.text = strdup(text)
    self.json = strdup(json)
  }

  deinit {
    free(text)
    free(json)
  }
}

extension rg_verdict {
  init(_ verdict: Verdict) {
    self =
      switch verdict {
      case .proved: RG_PROVED
      case .consistent: RG_CONSISTENT
      case .refuted: RG_REFUTED
      case .undecided: RG_UNDECIDED
      }
  }
}

@c @implementation
public func rg_report_text(_ report: OpaquePointer?) -> UnsafePointer<CChar>? {
  (try? object(report, "report", as: ReportHandle.self))?.text.map { UnsafePointer($0) } ?? StaticText.empty
}

@c @implementation
public func rg_report_json(_ report: OpaquePointer?) -> UnsafePointer<CChar>? {
  (try? object(report, "report", as: ReportHandle.self))?.json.map { UnsafePointer($0) } ?? StaticText.empty
}

@c @implementation
public func rg_report_destroy(_ report: OpaquePointer?) { release(report, as: ReportHandle.self) }

@c @implementation
public func rg_page_from_json(
  _ json: UnsafePointer<CChar>?, _ length: Int, _ page: UnsafeMutablePointer<OpaquePointer?>?
) -> rg_status {
  reporting { () throws(Failure) in
    let result = try required(page, "page")
    let description = try bytes(json, length, "json")
    let page: HTMLPage
    do throws(InvalidInput) {
      page = try HTMLPage(describedBy: description)
    } catch {
      throw Failure(error)
    }
    result.pointee = handle(ReportHandle(text: page.text, json: page.json))
  }
}
