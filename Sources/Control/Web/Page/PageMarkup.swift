/// The status page: one document with its style and its script in it, and nothing from anywhere else. It shows nothing
/// until its script has heard of the daemon, so it is the same for every daemon and every moment.
enum PageMarkup {
    /// - Parameter nonce: allows the style and the script of this one answer, see ``policy(nonce:)``.
    static func document(nonce: String) -> String {
        head(nonce: nonce) + body + "<script nonce=\"\(nonce)\">\n\(PageScript.text)</script>\n</body>\n</html>\n"
    }

    /// The Content-Security-Policy (https://www.w3.org/TR/CSP3/): no code but that of the nonce, no requests but to the
    /// daemon itself, no frames, no forms.
    static func policy(nonce: String) -> String {
        [
            "default-src 'none'", "script-src 'nonce-\(nonce)'", "style-src 'nonce-\(nonce)'", "connect-src 'self'",
            "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
        ].joined(separator: "; ")
    }

    private static func head(nonce: String) -> String {
        """
        <!DOCTYPE html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>Limpet</title>
        <link rel="icon" href="data:,">
        <style nonce="\(nonce)">
        \(PageStyle.text)</style>
        </head>

        """
    }

    private static let body = """
        <body>
        <a class="skip" href="#services">Skip to the services</a>
        <header>
        <h1>Limpet</h1>
        <p id="summary" role="status">Waiting for the daemon …</p>
        <button id="pause" type="button" aria-pressed="false">Pause updates</button>
        </header>
        <noscript><p class="alert">This page needs its script. The same figures, as text:
        <a href="/metrics">/metrics</a></p></noscript>
        <main>
        <section aria-labelledby="h-overview">
        <h2 id="h-overview">The last ten minutes</h2>
        <div id="overview" class="charts"></div>
        </section>
        <section id="drains-section" aria-labelledby="h-drains" hidden>
        <h2 id="h-drains">Drains in progress</h2>
        <ul id="drains"></ul>
        </section>
        <div id="services" tabindex="-1"></div>
        <section id="clients-section" aria-labelledby="h-clients" hidden>
        <h2 id="h-clients">Clients with the most connections</h2>
        <ol id="clients"></ol>
        </section>
        <section aria-labelledby="h-events">
        <h2 id="h-events">Recent events</h2>
        <ol id="events" class="events"></ol>
        </section>
        </main>
        <footer><p id="about"></p><p><a href="/metrics">All metrics</a></p></footer>

        """
}
