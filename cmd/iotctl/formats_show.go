package main

// showLanguage is what help formats says of all but -F and -o.
const showLanguage = `JQ

--jq EXPR prints, line by line, what an expression of the language jq makes of
the object of -o jsonl. Strings are in quotes unless there is --raw-output, and
-o json spreads results over lines. Numbers keep their digits unless something
is calculated with them. Objects that are passed on keep the order of their
members, those that the expression makes have them by name. There are no files,
no environment and no further input; one message may take a second and give
16 MiB. What fails on a message is reported once per topic and reason.

TEMPLATES

--template prints the same object by a template of Go's package text/template:
{{.topic}}, {{.payload.temp}}, {{range}}, {{if}}. What is not there prints as
<no value>, and a member of what is no object is an error, which is reported
once per topic and reason; get and default avoid both. Beside the functions of
Go there are

  get PATH .           what a path leads to, as in get "payload.temp" .
  level N TOPIC        a level of a topic, from 0, or from -1 backwards
  levels TOPIC         all of them, a list
  strftime FORMAT T    a time, or Unix seconds, as date +FORMAT prints it
  timefmt LAYOUT T     the same in Go's manner: "15:04:05.000"
  default X V          V, or X if that is nothing
  pad N V, cut N V     filled up to N characters (-N: in front), cut to N
  round N V            N digits behind the point
  add, sub, mul, div   whole numbers stay whole as long as they fit
  eq ne lt le gt ge    numbers of any kind, or text
  json V, join SEP L, upper V, lower V

TABLES

-o csv and -o tsv print a line with the names of the columns and a line for
each message, quoted as in RFC 4180, or with \t, \n, \r and \\ where tabs
separate. --columns lists paths into the same object between commas, by default
time,topic,qos,retain,payload:

  payload.temp         a member; payload["odd name"] where it needs quotes
  payload.list[0]      an element; [-1] is the last one
  topic[1]             a level of the topic, from 0
  properties.user-properties.site
                       a user property by its name, the first of them
  t=payload.temp       with a name of its own

What is not there is an empty cell; objects and lists are JSON.

WHAT HAS CHANGED

--changes hides messages whose payload is that of the last one of the topic.
--diff shows the first message of a topic whole, and then what changed in its
JSON: + added, - removed, ~ changed, with the path as jq writes it. What is not
JSON is shown whole when it changes. Both remember 32 MiB of topics and payloads
(of --changes a fingerprint); when there are more, the topics that have been
quiet for longest are forgotten, and their next message counts as a first one.

DECODED PAYLOADS

With --payload (iotctl help payloads) text, -v, %p, %j, %J and --diff show what
the rule for the topic makes of the payload; jq, templates and columns have it
as .value beside .payload. A payload that is not what the rule says is reported
once per topic and reason, and shown as it came; --strict-payload ends the run
instead.

On a terminal, control characters that messages bring are written \x1b.`
