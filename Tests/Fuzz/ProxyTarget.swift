import Addressing

@testable import Forwarding

/// The reader of PROXY headers, given whatever bytes there can be. What is looked for is that its answers agree: with those to
/// shorter and longer input, and with what our own writer makes of them.
func proxyHeader(_ input: UnsafeRawBufferPointer) {
    let count = input.count
    let reading = ProxyHeader.read(input)
    switch reading {
    case .incomplete(let needed):
        check(needed > count, "\(needed) bytes are asked for where there are \(count)")
        check(needed <= ProxyHeader.longestReceived, "\(needed) bytes are asked for")
        check(count == 0 || ProxyHeader.likeness(input) != .none, "it may become one, and does not look like one")
    case .malformed(let flaw):
        check(count > 0, "nothing is malformed")
        check(flaw == .signature || ProxyHeader.likeness(input) != .none, "\(flaw), and it does not look like one")
        check(![.late, .cutShort, .urgent].contains(flaw), "\(flaw) cannot be read from bytes")
    case .whole(let header):
        check((15...ProxyHeader.longestReceived).contains(header.length) && header.length <= count, "\(header)")
        check(ProxyHeader.likeness(input) == .certain, "it is one, and does not look like one")
        let exact = UnsafeRawBufferPointer(rebasing: input[..<header.length])
        check(ProxyHeader.read(exact) == reading, "what lies behind it changes it")
        checkPrefixes(exact)
        checkFields(exact, header)
        checkWriter(exact, header)
    }
}

/// No beginning of a header is malformed, or is one by itself, and all ask for no more than there is.
private func checkPrefixes(_ header: UnsafeRawBufferPointer) {
    var count = 0
    while count < header.count {
        guard case .incomplete(let needed) = ProxyHeader.read(UnsafeRawBufferPointer(rebasing: header[..<count])) else {
            return check(false, "its first \(count) bytes are no beginning")
        }
        check(needed > count && needed <= header.count, "at \(count) of \(header.count), \(needed) are asked for")
        count = needed
    }
}

private func checkFields(_ bytes: UnsafeRawBufferPointer, _ header: ProxyHeader.Received) {
    if header.fields.isEmpty { return }
    check(header.version == .v2 && header.ends != nil && header.fields.upperBound == header.length, "\(header)")
    var position = header.fields.lowerBound
    while position < header.length { position += 3 + Int(ProxyHeader.word(bytes, position + 1)) }
    check(position == header.length, "its fields do not fill it")
}

/// What it says, written by us and read again, is the same; but for a mixture of families, which we do not write.
private func checkWriter(_ bytes: UnsafeRawBufferPointer, _ header: ProxyHeader.Received) {
    var additions = ProxyHeader.Additions()
    additions.received = UnsafeRawBufferPointer(rebasing: bytes[header.fields])
    additions.uniqueID = (UInt64(header.length), 0x1234)
    additions.hasChecksum = true
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: ProxyHeader.longestWithAdditions, alignment: 1)
    defer { buffer.deallocate() }
    for version in [ProxyHeader.Version.v1, .v2] {
        let count = ProxyHeader.write(
            version, client: header.ends?.client, local: header.ends?.local, additions: additions, into: buffer)
        guard case .whole(let again) = ProxyHeader.read(UnsafeRawBufferPointer(rebasing: buffer[..<count])) else {
            return check(count > ProxyHeader.longestReceived, "what we write ourselves we do not read")
        }
        check(again.length == count && again.version == version && again.ends == header.ends, "\(header) \(again)")
    }
}
