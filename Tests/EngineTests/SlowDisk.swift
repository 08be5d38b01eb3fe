import Foundation
import Linux

/// A disk that waits until it is told what to do.
final class SlowDisk: Sendable {
    struct State {
        /// Texts that came, in order.
        var texts: [String] = []
        /// What the next attempts are answered with.
        var answers: [SystemError?] = []
        /// Attempts that were reported, with whether they failed.
        var reports: [(number: UInt64, failed: Bool)] = []
    }

    let state = Monitor(State())

    func replace(_ text: [UInt8]) -> SystemError? {
        state.with { $0.texts.append(String(decoding: text, as: UTF8.self)) }
        return state.wait { $0.answers.isEmpty ? nil : .some($0.answers.removeFirst()) } ?? nil
    }

    func answer(_ errors: SystemError?...) { state.with { $0.answers += errors } }

    /// Waits until so many attempts have been made.
    func texts(_ count: Int) -> [String] {
        state.wait(within: .seconds(60)) { $0.texts.count >= count ? $0.texts : nil } ?? state.with { $0.texts }
    }

    func reports(_ count: Int) -> [String] {
        let reports =
            state.wait(within: .seconds(60)) { $0.reports.count >= count ? $0.reports : nil }
            ?? state.with { $0.reports }
        return reports.map { "\($0.number)\($0.failed ? " failed" : "")" }
    }
}
