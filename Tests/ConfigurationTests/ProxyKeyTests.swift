import Addressing
import Testing

@testable import Configuration

/// The keys of the PROXY protocol: what they take, and what they are refused for, word by word.
@Suite struct ProxyKeyTests {
    private static let chat = #"limpet.toml: service "chat": "#
    private static let words = #""unique-id", "crc32c", "received""#

    static let refusals: [Refusal<String>] = [
        Refusal(
            document(service: #"accept-proxy = "10.0.0.0/8""#),
            #"\#(chat)"accept-proxy" must be an array of networks (such as "192.0.2.0/24"), not "10.0.0.0/8""#),
        Refusal(
            document(service: "accept-proxy = [10]"),
            #"\#(chat)"accept-proxy" must be an array of networks (such as "192.0.2.0/24"), not an integer"#),
        Refusal(
            document(service: #"accept-proxy = ["10.0.0.0/8", "10.1.2.3/16"]"#),
            #"\#(chat)accept-proxy: "10.1.2.3/16" has bits set past its length: the network is 10.1.0.0/16, "#,
            "the one address 10.1.2.3/32"),
        Refusal(
            document(service: #"accept-proxy = ["2001:db8::1/64"]"#),
            #"\#(chat)accept-proxy: "2001:db8::1/64" has bits set past its length: the network is 2001:db8::/64, "#,
            "the one address 2001:db8::1/128"),
        Refusal(
            document(service: #"accept-proxy = ["10.0.0.0/33"]"#),
            #"\#(chat)accept-proxy: "10.0.0.0/33" is no network: write an address and how many of its bits count, such as "#,
            #""192.0.2.0/24""#),
        Refusal(
            document(service: #"accept-proxy = ["lb1"]"#),
            #"\#(chat)accept-proxy: "lb1" is no network: write an address and how many of its bits count, such as "#,
            #""192.0.2.0/24""#),
        Refusal(
            document(service: #"accept-proxy = ["::ffff:10.0.0.0/104"]"#),
            #"\#(chat)accept-proxy: "::ffff:10.0.0.0/104": write the IPv4 address, 10.0.0.0, as such"#),
        Refusal(
            document(
                service:
                    "accept-proxy = [\((0..<257).map { "\"10.0.\($0 / 256).\($0 % 256)\"" }.joined(separator: ","))]"),
            #"\#(chat)accept-proxy: 257 networks: 256 at most; several that lie side by side can be written as one"#),
        Refusal(
            document(service: #"accept-proxy-timeout = "1ms""#),
            #"\#(chat)"accept-proxy-timeout" must be a duration from 10ms to 10m (such as "3s"), not "1ms""#),
        Refusal(
            document(service: #"accept-proxy-timeout = "off""#),
            #"\#(chat)"accept-proxy-timeout" must be a duration from 10ms to 10m (such as "3s"), not "off""#),
        Refusal(
            document(service: "send-proxy = \"v2\"\nsend-proxy-tlvs = [\"crc32\"]"),
            #"\#(chat)send-proxy-tlvs: "crc32" is none of \#(words) (did you mean "crc32c"?)"#),
        Refusal(
            document(service: "send-proxy = \"v2\"\nsend-proxy-tlvs = \"crc32c\""),
            #"\#(chat)"send-proxy-tlvs" must be an array of any of \#(words), not "crc32c""#),
        Refusal(
            document(service: "send-proxy-tlvs = [\"crc32c\"]"),
            #"\#(chat)"send-proxy-tlvs" needs send-proxy = "v2"; where nothing of it is to be sent, write "#,
            "send-proxy-tlvs = []"),
        Refusal(
            document(
                daemon: "[defaults]\nsend-proxy = \"v2\"\nsend-proxy-tlvs = [\"crc32c\"]",
                service: "send-proxy = \"v1\""),
            #"\#(chat)"send-proxy-tlvs" needs send-proxy = "v2"; where nothing of it is to be sent, write "#,
            "send-proxy-tlvs = []"),
    ]

    @Test(arguments: refusals) func refused(_ refusal: Refusal<String>) {
        #expect(complaints(refusal.input) == [refusal.line])
    }

    @Test func warnings() {
        #expect(
            complaints(document(service: "accept-proxy = [\"::/0\"]")) == [
                "accepted", "\(Self.chat)accept-proxy: ::/0 trusts whoever connects to say who it is",
            ])
        #expect(
            complaints(document(service: "send-proxy = \"v2\"\nsend-proxy-tlvs = [\"received\"]")) == [
                "accepted",
                #"\#(Self.chat)"received" in "send-proxy-tlvs" adds nothing without "accept-proxy": no header is received"#,
            ])
    }

    @Test func flags() throws {
        var flags = FlagValues(listen: ["127.0.0.1:1"], backends: ["127.0.0.1:2"])
        flags.set(ConfigurationKeys.acceptProxy, "10.0.0.0/8,2001:db8::/32,192.0.2.7")
        let service = try ConfigurationLoader.load(path: nil, flags: flags).configuration.services[0]
        #expect(service.acceptProxy.map(\.description) == ["10.0.0.0/8", "2001:db8::/32", "192.0.2.7/32"])
        for text in ["", "10.0.0.0/8,", "10.0.0.0/8 ,::1"] {
            flags.set(ConfigurationKeys.acceptProxy, text)
            #expect(complaints(flags).first?.hasPrefix("limpetd: --accept-proxy: ") == true, "\(text)")
        }
    }

    @Test func whatIsSaidTwiceCountsOnce() throws {
        let text = document(service: "send-proxy = \"v2\"\nsend-proxy-tlvs = [\"crc32c\", \"unique-id\", \"crc32c\"]")
        let service = try ConfigurationLoader.parse(text, source: "limpet.toml").configuration.services[0]
        #expect(service.sendProxyFields == [.checksum, .uniqueID])
    }
}
