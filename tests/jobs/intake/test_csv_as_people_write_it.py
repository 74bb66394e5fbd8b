"""CSV: separators, quotes, line breaks, encodings, headers, and rows of another width."""

from __future__ import annotations

import bz2
import gzip
from pathlib import Path

from pyspark.sql import SparkSession

from tests.jobs.intake.odd import ITEMS, LOG, Files, Make, Odd, cases_of, check, csv_text, each, iso, odd, titles_of

HARD = ['Pipe 12", steel', "Two\nlines; of | text", 'Say "hi",\tthen go', "C:\\dir\\"]
"""Titles with everything that separates and quotes."""

HARD_ITEMS = ITEMS.assign(title=HARD)
HARD_TITLES = dict(zip(ITEMS["item_id"], HARD, strict=True))


@each(comma=",", semicolon=";", tab="\t", bar="|")
def doubled_quotes(files: Files, separator: str) -> Odd:
    items = files.csv("items.csv", HARD_ITEMS, sep=separator)
    return files.odd(files.csv("log.csv", iso(LOG), sep=separator), items, titles=HARD_TITLES)


@each(comma=",", semicolon=";", tab="\t", bar="|")
def quotes_after_backslash(files: Files, separator: str) -> Odd:
    titles = [title.replace("\n", " ") for title in HARD[:3]] + ["plain"]
    quoted = ['"' + title.replace('"', '\\"') + '"' for title in titles]
    lines = [separator.join(["item_id", "title", "category", "price"])]
    lines += [separator.join([item, title, "c", "1"]) for item, title in zip(ITEMS["item_id"], quoted, strict=True)]
    items = files.text("items.csv", "\n".join(lines) + "\n")
    return files.odd(None, items, titles=dict(zip(ITEMS["item_id"], titles, strict=True)))


@each(crlf="\r\n", cr="\r")
def line_ends(files: Files, end: str) -> Odd:
    items = files.csv("items.csv", ITEMS, lineterminator=end)
    return files.odd(files.csv("log.csv", iso(LOG), lineterminator=end), items)


@each(lf="\n", crlf="\r\n")
def byte_order_mark(files: Files, end: str) -> Odd:
    log, items = (csv_text(frame, lineterminator=end) for frame in (iso(LOG), ITEMS))
    return files.odd(files.text("log.csv", log, "utf-8-sig"), files.text("items.csv", items, "utf-8-sig"))


@each(lf="\n", crlf="\r\n")
def break_in_a_field_of_the_log(files: Files, end: str) -> Odd:
    log = iso(LOG)
    log.insert(2, "query", ["cheap\nlamp, red" if n % 3 else "lamp" for n in range(len(log))])
    return files.odd(files.csv("log.csv", log, lineterminator=end))


@odd
def open_quote_by_mistake(files: Files) -> Odd:
    log = iso(LOG)
    log.insert(1, "query", "lamp")
    lines = csv_text(log).splitlines()
    lines[3] = lines[3].replace(",lamp", ',"lamp')
    path = files.text("log.csv", "\n".join(lines) + "\n")
    return files.odd(path, events=LOG.drop(index=2), rejected={"malformed_row": 1})


@odd
def rows_of_another_width(files: Files) -> Odd:
    lines = csv_text(iso(LOG)).splitlines()
    lines[2] = lines[2].rsplit(",", 1)[0]
    lines[5] += ",surplus,fields"
    log = files.text("log.csv", "\n".join(lines) + "\n")
    return files.odd(log, events=LOG.drop(index=[1, 4]), rejected={"malformed_row": 2})


@odd
def unquoted_comma_in_a_title(files: Files) -> Odd:
    lines = csv_text(ITEMS).splitlines()
    lines[2] = lines[2].replace("Blue chair", "Blue, chair")
    titles = {"p0": "Red apple", "p2": "Green lamp", "p3": "Old shirt"}
    known = LOG[LOG["item_id"] != "p1"]
    rejected = {"malformed_row": 1, "unknown_item": len(LOG) - len(known)}
    return files.odd(None, files.text("items.csv", "\n".join(lines)), events=known, titles=titles, rejected=rejected)


@odd
def row_that_ends_early(files: Files) -> Odd:
    return files.odd(files.text("log.csv", csv_text(iso(LOG))[:-12]), events=LOG[:-1], rejected={"malformed_row": 1})


@odd
def footer_below_the_rows(files: Files) -> Odd:
    log = files.text("log.csv", csv_text(iso(LOG)) + "(8 rows)\n")
    return files.odd(log, rejected={"malformed_row": 1}, rows=13)


@odd
def header_once_more_in_the_middle(files: Files) -> Odd:
    lines = csv_text(iso(LOG)).splitlines()
    log = files.text("log.csv", "\n".join([*lines[:5], lines[0], *lines[5:]]) + "\n")
    return files.odd(log, rejected={"unreadable_time": 1}, rows=13)


@odd
def blank_lines(files: Files) -> Odd:
    return files.odd(files.text("log.csv", csv_text(iso(LOG)).replace("\n", "\n\n") + "   \n"))


@odd
def tab_separated_and_compressed(files: Files) -> Odd:
    log = gzip.compress(csv_text(iso(LOG), sep="\t").encode())
    return files.odd(files.data("log.tsv.gz", log), files.csv("items.TSV", ITEMS, sep="\t"))


@odd
def compressed_by_bzip2(files: Files) -> Odd:
    return files.odd(files.data("log.csv.bz2", bz2.compress(csv_text(iso(LOG)).encode())))


@odd
def other_ending_with_the_format_named(files: Files) -> Odd:
    return files.odd(files.csv("log.txt", iso(LOG), sep="|"), options=["interactions_files.format=csv"])


ACCENTS = ["Café crème", "Misérables, Les", "Größe", "señor"]
ACCENTED = ITEMS.assign(title=ACCENTS)
ACCENTED_TITLES = dict(zip(ITEMS["item_id"], ACCENTS, strict=True))


@each(latin_1="latin-1", cp1252="cp1252", utf_8="UTF-8", latin_9="iso-8859-15")
def encoding_by_setting(files: Files, name: str) -> Odd:
    items = files.text("items.csv", csv_text(ACCENTED), name)
    return files.odd(None, items, options=[f"items_files.encoding={name}"], titles=ACCENTED_TITLES)


ALPHABETS = {
    "shift_jis": ["りんご", "椅子", "ランプ, 緑", "シャツ"],
    "gb18030": ["苹果", "椅子", "灯, 绿", "衬衫"],
    "koi8_r": ["яблоко", "стул", "лампа", "рубашка"],
    "cp1252": ["It’s 5 €", "“Quoted”", "a – b", "plain"],
}


@each(**{name: name for name in ALPHABETS})
def other_alphabets(files: Files, encoding: str) -> Odd:
    items = ITEMS.assign(title=ALPHABETS[encoding])
    path = files.text("items.csv", csv_text(items), encoding)
    return files.odd(None, path, options=[f"items_files.encoding={encoding}"], titles=titles_of(items))


@each(little="utf-16-le", big="utf-16-be")
def utf_16_by_its_mark(files: Files, encoding: str) -> Odd:
    items = files.text("items.csv", "\ufeff" + csv_text(ACCENTED, sep="\t"), encoding)
    return files.odd(None, items, titles=ACCENTED_TITLES)


@odd
def latin_1_unsaid(files: Files) -> Odd:
    items = files.text("items.csv", csv_text(ACCENTED), "latin-1")
    return files.odd(None, items, refused=r"items\.csv: 4 lines are not in UTF-8; set ingest\.items_files\.encoding")


@odd
def ids_that_differ_by_an_accent(files: Files) -> Odd:
    log = files.text(
        "log.csv", csv_text(iso(LOG.assign(item_id=LOG["item_id"].replace({"p0": "café", "p1": "cafè"})))), "latin-1"
    )
    return files.odd(log, refused=r"log\.csv: \d lines are not in UTF-8")


@odd
def bytes_that_the_named_encoding_lacks(files: Files) -> Odd:
    items = files.text("items.csv", csv_text(ACCENTED), "utf-8")
    return files.odd(None, items, options=["items_files.encoding=ascii"], refused="bytes are not in ascii")


@odd
def encoding_that_does_not_exist(files: Files) -> Odd:
    return files.odd(options=["interactions_files.encoding=utf-9"], refused="there is no encoding utf-9")


@odd
def null_of_databases(files: Files) -> Odd:
    items = files.csv("items.csv", ITEMS.assign(category=["\\N", "b", "\\N", "d"]))
    return files.odd(None, items, attributes={"p0": {"price": "1.50"}})


@odd
def words_for_null_are_ids(files: Files) -> Odd:
    ids = {"p0": "null", "p1": "NA", "p2": "nan", "p3": "None"}
    log, items = (frame.replace({"item_id": ids}) for frame in (LOG, ITEMS))
    titles = titles_of(items)
    return files.odd(files.csv("log.csv", iso(log)), files.csv("items.csv", items), events=log, titles=titles)


@odd
def words_for_null_by_setting(files: Files) -> Odd:
    log = files.csv("log.csv", iso(LOG.assign(user_id=["NULL", *LOG["user_id"][1:]])))
    options = ['interactions_files.nulls=["NULL"]']
    return files.odd(log, options=options, events=LOG[1:], rejected={"null_user_id": 1})


@odd
def ids_of_every_look(files: Files) -> Odd:
    ids = {"p0": "007", "p1": "7", "p2": "1e5", "p3": "0x1F"}
    users = {"u0": "true", "u1": "00012", "u2": "2025-01-01"}
    log = LOG.replace({"item_id": ids, "user_id": users})
    items = ITEMS.replace({"item_id": ids})
    titles = titles_of(items)
    return files.odd(files.csv("log.csv", iso(log)), files.csv("items.csv", items), events=log, titles=titles)


@odd
def without_header(files: Files) -> Odd:
    log = files.csv("log.csv", iso(LOG), header=False)
    names = 'interactions_files.columns=["user_id", "item_id", "event_time", "action"]'
    return files.odd(log, options=["interactions_files.header=false", names])


@odd
def without_header_and_too_few_names(files: Files) -> Odd:
    log = files.csv("log.csv", iso(LOG), header=False)
    options = ["interactions_files.header=false", 'interactions_files.columns=["user_id", "item_id"]']
    return files.odd(
        log, options=options, refused=r"first row has 4 fields, but ingest\.interactions_files\.columns names 2"
    )


@odd
def without_header_unsaid(files: Files) -> Odd:
    log = files.csv("log.csv", iso(LOG), header=False)
    return files.odd(log, refused=r"no column user_id.*header=false and ingest\.interactions_files\.columns")


@odd
def single_quotes_by_setting(files: Files) -> Odd:
    log = iso(LOG).assign(query="a, 'b'")
    return files.odd(files.csv("log.csv", log, quotechar="'"), options=['interactions_files.quote="\'"'])


@odd
def escape_by_setting(files: Files) -> Odd:
    items = files.text("items.csv", 'item_id,title\np0,"a ^"b^", c"\np1,B\np2,C\np3,D\n')
    titles = {"p0": 'a "b", c', "p1": "B", "p2": "C", "p3": "D"}
    return files.odd(None, items, options=["items_files.escape=^"], titles=titles)


@each(caret="^", control="\x01", blank=" ")
def separator_by_setting(files: Files, separator: str) -> Odd:
    quoted = f'interactions_files.separator="{separator.encode("unicode_escape").decode()}"'.replace("\\x01", "\\u0001")
    return files.odd(files.csv("log.csv", iso(LOG), sep=separator), options=[quoted])


@odd
def nameless_column_of_row_numbers(files: Files) -> Odd:
    numbered = ITEMS.rename_axis(None).to_csv()
    return files.odd(None, files.text("items.csv", numbered), attributes={"p0": {"price": "1.50"}})


@odd
def separators_at_the_end_of_rows(files: Files) -> Odd:
    return files.odd(files.text("log.csv", csv_text(iso(LOG)).replace("\n", ",\n")))


@odd
def names_in_capitals_and_with_blanks(files: Files) -> Odd:
    log = iso(LOG).rename(columns={"user_id": "USER_ID", "item_id": " Item_Id ", "action": "ACTION"})
    return files.odd(files.csv("log.csv", log))


@odd
def names_that_differ_in_case(files: Files) -> Odd:
    log = iso(LOG).assign(ACTION="x").rename(columns={"action": "Action"})
    return files.odd(files.csv("log.csv", log), refused="columns ACTION and Action differ only in case")


@odd
def one_name_twice(files: Files) -> Odd:
    text = csv_text(iso(LOG).assign(other=1)).replace("other", "item_id", 1)
    return files.odd(files.text("log.csv", text), refused="two columns are called item_id")


@odd
def another_name_twice(files: Files) -> Odd:
    text = csv_text(iso(LOG).assign(a=1, b=2)).replace(",a,b", ",a,a", 1)
    return files.odd(files.text("log.csv", text))


@odd
def header_over_two_lines(files: Files) -> Odd:
    return files.odd(files.csv("log.csv", iso(LOG).assign(**{"the\nquery": "x"})))


@odd
def very_long_field(files: Files) -> Odd:
    long = "word " * 60_000 + "end"
    items = files.csv("items.csv", ITEMS.assign(description=[long, "", "", ""]))
    return files.odd(None, items)


@odd
def bytes_beyond_the_first_64_kilobytes(files: Files) -> Odd:
    items = csv_text(ITEMS.assign(description="word " * 20_000)).encode() + "p9,Caf\u00e9,c,1,d\n".encode("latin-1")
    return files.odd(None, files.data("items.csv", items), refused=r"items\.csv: 1 lines are not in UTF-8")


@odd
def breaks_beyond_the_first_64_kilobytes(files: Files) -> Odd:
    items = files.csv("items.csv", HARD_ITEMS.assign(description=["word " * 20_000, "two\nlines", "", "x\n\ny"]))
    return files.odd(None, items, titles=HARD_TITLES)


@odd
def only_a_header(files: Files) -> Odd:
    return files.odd(files.csv("log.csv", iso(LOG)[:0]), events=LOG[:0], rows=4)


@odd
def text_of_a_web_page(files: Files) -> Odd:
    page = "<!DOCTYPE html><html><body>Please log in</body></html>"
    return files.odd(files.text("log.csv", page), refused=r"log\.csv: is a web page, not csv")


@cases_of(__name__)
def test_odd_csv(make: Make, spark: SparkSession, tmp_path: Path) -> None:
    check(spark, make(Files(tmp_path)))
