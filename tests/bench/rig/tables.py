"""A chain of `table` plugins that have millions of addresses, a part of them those of the load."""

DOMAINS = 100_000  # of recipients: each message has another one
FILLING = "user{number}.{table}@d{domain}.example.test smtp mail{host}.test\n"
HIT = "rcpt0@d{domain}.example.test smtp [127.0.0.1]:{port}\n"
SECTION = """\
plugin "t{table}" {{
    file = "{plugin}"
    maps = {{"{text}"}}
}}
"""


class Tables:
    """Texts in a folder of their own, where they stay compiled from one start to the next."""

    def __init__(self, directory, plugin, count, entries, hop_port):
        self.texts = [directory / f"table{number}" for number in range(count)]
        self.plugin = plugin
        directory.mkdir()
        for number, text in enumerate(self.texts):
            with open(text, "w") as out:
                out.writelines(self._lines(number, count, entries, hop_port))

    @staticmethod
    def _lines(table, count, entries, port):
        """All tables have addresses in all domains: none can be passed over by its domains."""
        hits = range(table, min(DOMAINS, entries), count)
        yield from (HIT.format(domain=domain, port=port) for domain in hits)
        for number in range(entries - len(hits)):
            yield FILLING.format(
                number=number, table=table, domain=number % DOMAINS, host=number % 100
            )

    def sections(self):
        return "".join(
            SECTION.format(table=number, plugin=self.plugin, text=text)
            for number, text in enumerate(self.texts)
        )
