import Addressing
import Linux

@testable import Backends
@testable import Configuration
@testable import Control
@testable import Stickiness

/// The small texts that addresses, durations and numbers are written in. What is understood is written by us, and what we write
/// is understood as the same.
func texts(_ input: UnsafeRawBufferPointer) {
    guard let text = String(validating: input, as: UTF8.self) else { return }
    again(text, { IPAddress($0) }, \.description)
    again(text, { IPAddress(client: $0) }, { "\($0)" })
    again(text, { Prefix($0) }, \.description)
    again(text, { HostName($0) }, \.description)
    again(text, { try? Endpoint(parsing: $0) }, \.description)
    again(text, { StatusList($0) }, \.description)
    again(text, { Configuration.DurationText.parse($0) }, Configuration.DurationText.render)
    again(text, { Timestamp($0) }, \.description)
    if let duration = Control.DurationText.parse(text) {
        check(duration >= .zero, "\(duration)")
        _ = Control.DurationText.age(seconds: duration.inSeconds)
    }
    _ = HashKey(hexadecimal: text)
    _ = Name.isValid(text)
    _ = Backends.suggestion(for: String(text.prefix(80)), among: ["drain", "disable", "weight"])
}

private func again<Value: Equatable>(_ text: String, _ read: (String) -> Value?, _ write: (Value) -> String) {
    guard let value = read(text) else { return }
    let written = write(value)
    check(read(written) == value, "\(text.debugDescription) is \(value), which is written \(written)")
}

/// A pattern in the first line and what it is searched for in the rest: the same whether that comes at once or byte by byte.
func pattern(_ input: UnsafeRawBufferPointer) {
    let lines = input.split(separator: 0x0a, maxSplits: 1, omittingEmptySubsequences: false)
    guard let text = String(validating: lines[0], as: UTF8.self), let pattern = try? Pattern(text) else { return }
    let said = lines.count > 1 ? Array(lines[1]) : []
    var whole = pattern.search()
    whole.feed(said)
    whole.end()
    var slow = pattern.search()
    for byte in said { slow.feed(CollectionOfOne(byte)) }
    slow.end()
    check(whole.isFound == slow.isFound, "it is found or not, as it comes")
    // What is found stays found, whatever follows.
    guard !text.contains("$") else { return }
    var longer = pattern.search()
    longer.feed(said + [0x78])
    longer.end()
    check(!whole.isFound || longer.isFound, "it is lost with the next byte")
}
