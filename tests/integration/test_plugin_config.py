# SPDX-License-Identifier: MIT
"""The settings of a plugin: what each getter gives, what it reports, and what nobody asked for.

tests/plugins/reader.c asks what `ask` tells it to, and answers with warnings.
"""

import os
import re

import pytest

import plugins
from headers import CLIENT4, v2
from settings import configuration, listener
from sessions import clients, send
from upstreams import Listener

pytest_plugins = ["hooks"]

every_version = pytest.mark.parametrize("plugin", ["reader", "reader_1_0"])

# The settings that the questions below are about.
SETTINGS = """\
    text = "some text"; empty = ""; quoted = "a \\"quote\\" and a \\\\";
    one = 1; big = 4000000000L; hexadecimal = 0x10; negative = -3;
    half = 0.5; exponent = 1e3; yes = true; no = false;
    texts = [ "a", "b", "c" ]; listed = ( "x", "y" ); nothing = ( ); mixed = ( "x", 5 );
    numbers = [ 1, 2 ];
    inner = { name = "inside"; }; hollow = { };
    groups = ( { name = "first"; }, { name = "second"; } );
    absolute = "/etc/hosts"; relative = "lists/a"; paths = [ "/b", "c" ];
"""

LIST = '    list = "lists/a";\n'

# A question, and the answer: the getter's result, and the value, or default where it left it alone.
ANSWERS = [
    ("text", "text", {}, "1 some text"),
    ("text", "empty", {}, "1 "),
    ("text", "quoted", {}, '1 a "quote" and a \\'),
    ("text", "missing", {}, "0 default"),
    ("int", "one", {}, "1 1"),
    ("int", "one", {"least": 1, "most": 1}, "1 1"),
    ("int", "big", {}, "1 4000000000"),
    ("int", "hexadecimal", {}, "1 16"),
    ("int", "negative", {"least": -3}, "1 -3"),
    ("int", "missing", {"least": 5}, "0 -7"),
    ("float", "half", {}, "1 0.5"),
    ("float", "half", {"least": 0.5, "most": 0.5}, "1 0.5"),
    ("float", "exponent", {}, "1 1000"),
    ("float", "one", {}, "1 1"),
    ("float", "big", {}, "1 4e+09"),
    ("float", "missing", {}, "0 -7"),
    ("bool", "yes", {}, "1 1"),
    ("bool", "no", {}, "1 0"),
    ("bool", "missing", {}, "0 -7"),
    ("count", "missing", {}, "0"),
    ("count", "nothing", {}, "0"),
    ("count", "text", {}, "1"),
    ("count", "one", {}, "1"),
    ("count", "inner", {}, "1"),
    ("count", "texts", {}, "3"),
    ("count", "listed", {}, "2"),
    ("count", "groups", {}, "2"),
    ("count", "mixed", {}, "2"),
    ("item", "texts", {"index": 0}, "1 a"),
    ("item", "texts", {"index": 2}, "1 c"),
    ("item", "texts", {"index": 3}, "0 default"),
    ("item", "listed", {"index": 1}, "1 y"),
    ("item", "mixed", {"index": 0}, "1 x"),
    ("item", "text", {"index": 0}, "1 some text"),
    ("item", "text", {"index": 1}, "0 default"),
    ("item", "nothing", {"index": 0}, "0 default"),
    ("item", "missing", {"index": 0}, "0 default"),
    ("group", "inner", {}, "1 inside"),
    ("group", "hollow", {}, "1 without a name"),
    ("group", "groups", {"index": 1}, "1 second"),
    ("group", "groups", {"index": 2}, "0 without a name"),
    ("group", "inner", {"index": 1}, "0 without a name"),
    ("group", "missing", {}, "0 without a name"),
    ("path", "absolute", {}, "1 /etc/hosts"),
    ("path", "relative", {}, "1 {folder}/lists/a"),
    ("path", "paths", {"index": 0}, "1 /b"),
    ("path", "paths", {"index": 1}, "1 {folder}/c"),
    ("path", "paths", {"index": 2}, "0 default"),
    ("path", "missing", {}, "0 default"),
]

# A question about a setting that is of no use, and what the mistake must name.
MISTAKES = [
    ("text", "one", {}, "text"),
    ("text", "yes", {}, "text"),
    ("text", "texts", {}, "text"),
    ("text", "inner", {}, "text"),
    ("int", "text", {}, "number"),
    ("int", "half", {}, "whole number"),
    ("int", "yes", {}, "number"),
    ("int", "one", {"least": 2, "most": 9}, "2.*9"),
    ("int", "negative", {"least": 0}, "0"),
    ("int", "big", {"most": 2147483647}, "2147483647"),
    ("float", "text", {}, "number"),
    ("float", "no", {}, "number"),
    ("float", "half", {"least": 0.75, "most": 1.0}, "0.75.*1"),
    ("float", "one", {"least": 2.0}, "2"),
    ("bool", "one", {}, "true.*false"),
    ("bool", "text", {}, "true.*false"),
    ("item", "numbers", {"index": 0}, "text"),
    ("item", "mixed", {"index": 1}, "text"),
    ("item", "one", {"index": 0}, "text"),
    ("item", "groups", {"index": 0}, "text"),
    ("path", "numbers", {"index": 1}, "text|path"),
    ("path", "empty", {"index": 0}, "text|path|empty"),
    ("group", "text", {}, "group"),
    ("group", "texts", {"index": 0}, "group"),
]


def reader(questions, settings=SETTINGS, plugin="reader"):
    """A configuration whose plugin has these settings and these questions. The settings begin on
    line 4."""
    asked = []
    for get, key, terms in questions:
        terms = {"get": get, **({"key": key} if key else {}), **terms}
        asked.append("{ " + " ".join(f"{k} = {value(v)};" for k, v in terms.items()) + " }")
    return (
        f'plugins = ( {{\n  name = "reader"; path = "{plugins.path(plugin)}";\n  config = {{\n'
        + settings
        + "    ask = ( " + ",\n      ".join(asked) + " );\n  };\n} );\n"
        + configuration(listener())
    )


def value(one):
    if isinstance(one, str):
        return '"' + one + '"'
    return f"{one}L" if isinstance(one, int) else repr(one)


def check(host, start_daemon, config):
    made = start_daemon(host, config=config, arguments=["--check"], ready=False)
    return made.wait_until_ended(), made.log(), made.directory


def line_of(config, key):
    """Where a setting's name stands, by itself."""
    for number, line in enumerate(config.splitlines(), 1):
        if re.search(rf"(^|[\s{{]){key} = ", line):
            return number
    raise AssertionError(f"no {key} in:\n{config}")


def spoken_of(said, key):
    """The lines about a setting: (number, what is said)."""
    place = re.compile(rf"mmproxy\.conf:(\d+): plugins\[0\]\.config\.{key}(?:\[\d+\])?: (.*)")
    return [(int(m[1]), m[2]) for m in map(place.search, said.splitlines()) if m]


@every_version
@pytest.mark.parametrize("get, key, terms, answer", ANSWERS)
def test_a_getter_gives_what_is_written_or_leaves_the_default(
    get, key, terms, answer, plugin, host, start_daemon
):
    config = reader([(get, key, terms)], plugin=plugin)
    status, said, folder = check(host, start_daemon, config)
    assert status == 0, said
    expected = answer.replace("{folder}", str(folder))
    if key == "missing":
        # There is no such line: the group's, or that of the list.
        lines = [line.rpartition(": ")[2] for line in said.splitlines() if ".config" in line]
        assert expected in lines
    else:
        assert (line_of(config, key), expected) in spoken_of(said, key)


@every_version
@pytest.mark.parametrize("get, key, terms, named", MISTAKES)
def test_a_setting_that_does_not_fit_is_reported_with_its_line_and_what_would_be_right(
    get, key, terms, named, plugin, host, start_daemon
):
    config = reader([(get, key, terms)], plugin=plugin)
    status, said, _ = check(host, start_daemon, config)
    assert status == 2, said
    mistakes = [
        (number, text)
        for line in said.splitlines()
        if not line.startswith("warning: ")
        for number, text in spoken_of(line, key)
    ]
    assert len(mistakes) == 1, said
    number, text = mistakes[0]
    assert number == line_of(config, key)
    assert re.search(named, text), said
    if get not in ("group",):
        (answer,) = [text for _, text in spoken_of(said, key) if text.startswith("-22")]
        assert get not in ("int", "float", "bool") or answer == "-22 -7"


def test_every_mistake_is_reported_not_just_the_first(host, start_daemon):
    asked = [("int", "text"), ("text", "one"), ("bool", "one"), ("text", "text")]
    questions = [(get, key, {}) for get, key in asked]
    status, said, _ = check(host, start_daemon, reader(questions))
    assert status == 2
    mistakes = [line for line in said.splitlines() if not line.startswith("warning: ")]
    assert len(mistakes) == 3, said


def test_what_no_getter_asked_for_is_warned_about_with_its_line(host, start_daemon):
    settings = (
        "    known = 1;\n    unknown = 2;\n    inner = { name = \"n\";\n      colour = 5;\n    };\n"
        "    forgotten = { deep = 1; };\n"
    )
    config = reader([("int", "known", {}), ("group", "inner", {})], settings)
    status, said, _ = check(host, start_daemon, config)
    assert status == 0
    warnings = [line for line in said.splitlines() if line.startswith("warning: ")]
    for path in "unknown", "inner.colour", "forgotten":
        key = path.rpartition(".")[2]
        (warned,) = [line for line in warnings if f"config.{path}: " in line]
        assert f"mmproxy.conf:{line_of(config, key)}: " in warned
    assert not [line for line in warnings if re.search(r"config\.(known|ask|inner): (?!1)", line)]


def test_an_item_that_no_getter_asked_for_is_covered_by_its_list(host, start_daemon):
    config = reader([("count", "texts", {})], '    texts = [ "a", "b" ];\n')
    status, said, _ = check(host, start_daemon, config)
    assert status == 0
    assert spoken_of(said, "texts") == [(4, "2")]


@every_version
def test_a_plugins_own_mistake_and_warning_have_place_and_path(plugin, host, start_daemon):
    questions = [
        ("text", "text", {}),
        ("warning", "text", {"text": "is odd; even would be right"}),
        ("warning", None, {"text": "on the whole odd"}),
        ("mistake", "inner", {"text": "is wrong"}),
        ("mistake", "missing", {"text": "is needed"}),
        ("mistake", None, {"text": "as a whole wrong"}),
    ]
    config = reader(questions, plugin=plugin)
    status, said, _ = check(host, start_daemon, config)
    assert status == 2
    said = [line.replace(str(folder_of(said)), "") for line in said.splitlines()]
    text, inner, group = (line_of(config, key) for key in ("text", "inner", "config"))
    for line in (
        f"warning: /mmproxy.conf:{text}: plugins[0].config.text: is odd; even would be right",
        f"warning: /mmproxy.conf:{group}: plugins[0].config: on the whole odd",
        f"/mmproxy.conf:{inner}: plugins[0].config.inner: is wrong",
        f"/mmproxy.conf:{group}: plugins[0].config.missing: is needed",
        f"/mmproxy.conf:{group}: plugins[0].config: as a whole wrong",
    ):
        assert said.count(line) == 1, (line, said)


def folder_of(said):
    return re.search(r"(/\S+)/mmproxy\.conf:", said)[1]


def test_a_mistake_is_no_success_even_if_the_hook_thinks_nothing_of_it(host, start_daemon):
    entry = plugins.entry("r", {"mistake": "is wrong"}, plugin="recorder")
    status, said, _ = check(host, start_daemon, configuration(listener(plugins=[entry])))
    assert "plugins[0].config.mistake: is wrong" in said
    assert status == 2


def test_in_a_listeners_list_the_path_names_the_listener(host, start_daemon):
    entry = plugins.entry("r", {"verdict": "deny"}, plugin="recorder")
    config = configuration(listener(plugins=[entry]))
    status, said, _ = check(host, start_daemon, config)
    assert status == 2
    assert re.search(r"conf:\d+: listeners\[0\]\.plugins\[0\]\.config\.verdict: ", said)


def test_a_plugin_without_settings_has_an_empty_group(host, start_daemon, upstream):
    entry = plugins.entry("r", plugin="recorder")
    assert "config" not in entry
    start_daemon(host, plugins=[entry])
    send(host, v2(CLIENT4))
    upstream.accept()


@pytest.mark.parametrize("check_only", [True, False], ids=["check", "start"])
def test_a_path_starts_at_the_folder_of_the_main_file_even_in_an_include(
    check_only, host, start_daemon
):
    """As the other paths in an included file do."""
    made = start_daemon(host, config=configuration(listener()))
    made.stop()
    (made.directory / "parts").mkdir(0o755)
    included, _, rest = reader([("path", "list", {})], LIST).partition("log = ")
    made.write_config(included, "parts/plugins.conf")
    made.write_config('@include "parts/plugins.conf"\nlog = ' + rest)
    arguments = ["--config", str(made.config_file)] + (["--check"] if check_only else [])
    again = start_daemon(host, arguments=arguments, ready=not check_only)
    if check_only:
        assert again.wait_until_ended() == 0
    where = r"parts/plugins\.conf:4: plugins\[0\]\.config\.list: "
    assert re.search(f"{where}1 {made.directory}/lists/a", again.log())


def test_a_path_leads_to_its_file_even_if_the_files_name_was_relative(host, start_daemon):
    made = start_daemon(host, config=reader([("path", "list", {})], LIST))
    made.stop()
    # From another working directory beside it.
    given = f"../{made.directory.name}/mmproxy.conf"
    again = start_daemon(host, arguments=["--config", given, "--check"], ready=False)
    assert again.wait_until_ended() == 0
    (said,) = re.findall(r"config\.list: 1 (.*)", again.log())
    assert os.path.realpath(again.directory / said) == str(made.directory / "lists" / "a")


def test_at_a_start_warnings_are_remarks_of_the_log(host, start_daemon):
    config = reader([("int", "one", {})], "    one = 1;\n    two = 2;\n")
    mmproxy = start_daemon(host, config=config)
    remarks = [line["text"] for line in mmproxy.log_lines("config: remark")]
    assert any("conf:4: plugins[0].config.one: 1 1" in line for line in remarks)
    assert any("conf:5: plugins[0].config.two: " in line for line in remarks)


# Counters.


def counting(names, amount=1):
    return plugins.entry("tally", {"names": names, "amount": amount}, plugin="counting")


def answers(mmproxy):
    """What counter() said to each name, in order."""
    texts = [line["text"] for line in mmproxy.log_lines("plugin: message")]
    found = [re.fullmatch(r"counter '(.*)' is (-?\d+)", text) for text in texts]
    return [(match[1], int(match[2])) for match in found if match]


def test_counters_stand_beside_mmproxys_own_and_add_up(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[counting(["seen", "a_b_2", "x" * 32], 7)])
    for number in range(3):
        send(host, v2((CLIENT4[0], 41000 + number)))
        upstream.accept()
    mmproxy.wait_for_counter("plugin_tally_seen", 21)
    mmproxy.wait_until_idle()
    counters = mmproxy.counters()
    assert counters["plugin_tally_a_b_2"] == 21
    assert counters["plugin_tally_" + "x" * 32] == 21
    mmproxy.stop()
    (last,) = [line for line in mmproxy.log_lines("daemon: counters")][-1:]
    assert last["plugin_tally_seen"] == "21"


def test_a_counter_with_a_bad_name_is_refused(host, start_daemon, upstream):
    names = ["", "Upper", "with space", "dash-ed", "x" * 33, "ä", "dot.ted", 'quo"te', "good"]
    mmproxy = start_daemon(host, plugins=[counting(names)])
    found = dict(answers(mmproxy))
    assert found.pop("good") >= 0
    assert set(found.values()) == {-22} and len(found) >= len(names) - 2
    # Counting with what is none does nothing.
    send(host, v2(CLIENT4))
    upstream.accept()
    mmproxy.assert_counter("plugin_tally_good")


def test_the_names_that_mmproxy_counts_a_plugin_by_are_taken(host, start_daemon, upstream):
    taken = ["refusals", "errors", "timeouts", "stale_verdicts", "slow_calls"]
    mmproxy = start_daemon(host, plugins=[counting([*taken, "other"], 1000)])
    assert [number for _, number in answers(mmproxy)] == [-22] * len(taken) + [0]
    send(host, v2(CLIENT4))
    upstream.accept()
    counters = mmproxy.wait_for_counter("plugin_tally_other", 1000)
    # mmproxy itself may have seen a slow call, on a busy machine.
    assert all(counters[f"plugin_tally_{name}"] < 1000 for name in taken)


def test_the_same_name_is_the_same_counter(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[counting(["one", "two", "one"])])
    found = [number for _, number in answers(mmproxy)]
    assert found[0] == found[2] != found[1]
    send(host, v2(CLIENT4))
    upstream.accept()
    mmproxy.assert_counter("plugin_tally_one", 2)
    mmproxy.assert_counter("plugin_tally_two", 1)


def test_there_are_64_counters_a_plugin(host, start_daemon, upstream):
    names = [f"number_{number}" for number in range(70)] + ["number_0"]
    entries = [counting(names), {**counting(["more"]), "name": "other"}]
    mmproxy = start_daemon(host, plugins=entries)
    found = [number for _, number in answers(mmproxy)]
    assert min(found[:64]) >= 0 and len(set(found[:64])) == 64
    assert found[64:70] == [-28] * 6
    assert found[70] == found[0]
    assert found[71] >= 0
    send(host, v2(CLIENT4))
    upstream.accept()
    counters = mmproxy.wait_for_counter("plugin_other_more")
    assert counters["plugin_tally_number_0"] == 2
    assert counters["plugin_tally_number_63"] == 1
    assert "plugin_tally_number_64" not in counters


def test_a_counter_has_64_bits(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[counting(["much"], 2000000000)])
    for client in clients(3):
        send(host, v2(client))
        upstream.accept()
    mmproxy.assert_counter("plugin_tally_much", 6000000000)


def test_a_dash_in_an_entrys_name_is_an_underscore_in_its_counters(host, start_daemon, upstream):
    mmproxy = start_daemon(host, plugins=[{**counting(["seen"]), "name": "tally-for-web"}])
    send(host, v2(CLIENT4))
    upstream.accept()
    mmproxy.assert_counter("plugin_tally_for_web_seen")


def test_two_entries_whose_counters_would_be_one_do_not_start(host, start_daemon):
    entries = [{**counting(["b_c"]), "name": "a"}, {**counting(["c"]), "name": "a_b"}]
    mmproxy = start_daemon(host, plugins=entries, ready=False)
    assert mmproxy.wait_until_ended() == 2
    (mistake,) = mmproxy.log_lines("config: mistake")
    assert mistake["text"].replace('\\"', '"').endswith(
        'plugins[1]: plugin "a_b": its counter "c" would be plugin_a_b_c, as "b_c" of plugin "a" '
        "is; write another name (counters last until a restart)"
    )


def test_entries_of_one_name_in_two_listeners_count_together(host, start_daemon, upstream):
    other = Listener(host, ("127.0.0.1", 22))
    entry = counting(["seen"])
    mmproxy = start_daemon(
        host,
        config=configuration(
            listener("web", plugins=[entry]),
            listener("ssh", listen="127.0.0.1:8444", forward={"ipv4": "127.0.0.1:22"},
                     plugins=[entry]),
        ),
    )
    send(host, v2(CLIENT4))
    host.connect(("127.0.0.1", 8444)).sendall(v2(CLIENT4))
    upstream.accept()
    other.accept()
    mmproxy.assert_counter("plugin_tally_seen", 2)
