package main

import "github.com/spf13/cobra"

// newFormats is a help topic: a command without a run function.
func newFormats() *cobra.Command {
	return &cobra.Command{
		Use:   "formats",
		Short: "How messages are printed and read: -F, -o, --jq, --template, tables, pub --jsonl",
		Long: `The argument of -F is printed for every message, with a newline behind it
unless there is -N. These stand for parts of the message:

  %t  topic                     %p  payload as it is
  %l  size of the payload       %x  %X  payload in hex
  %q  QoS                       %j  JSON object, payload as a string
  %r  retain, 0 or 1            %J  JSON object, payload as JSON
  %m  packet identifier         %f  payload of 4 bytes as a number
  %I  time, ISO 8601            %d  payload of 8 bytes as a number
  %U  time, Unix seconds with nanoseconds
  %C  content type              %R  response topic
  %D  correlation data          %S  subscription identifier
  %E  message expiry interval   %A  topic alias
  %F  payload format indicator  %P  user properties, as in a:1 b:2
  %%  a percent sign            @@  an at sign

Between % and the letter may stand: - to put blanks on the right, 0 to fill up
with zeros, a width, and a precision behind a point. A payload is cut to the
width. For hex the precision is the number of digits between separators, and
the separator stands before the letter: %.2:x prints 41:42:43.

  @H @M @S @Y @m @d ...  what date +%H and so on print; @N is nanoseconds
  \n \t \r \a \e \v \0 \\ the usual characters

The forms are those of mosquitto_sub 2.1. Called by the name of one of
mosquitto's clients, with IOTCTL_MOSQUITTO=2.0 in the environment, they are
those of 2.0: the width of %x counts digits, in JSON retain is a number, user
properties are an object and the time has a Z, and there is no separator, %f
and %d. %j and %J also cut text at NUL and round numbers under those names,
as mosquitto_sub does; under our own name they keep both.

A payload that the format cannot show, such as one for %J that is not JSON, is
reported and left out.

-o jsonl prints one JSON object per line that loses nothing, -o json the same
over several lines:

  time        when the message arrived, RFC 3339 with nanoseconds
  topic, qos
  retain      left out by text://, where nothing tells which values were there
              before
  mid         packet identifier, above QoS 0
  properties  of MQTT 5.0, by the names that -D has for them; correlation-data
              is an object of encoding and data, user-properties a list of
              objects of name and value, in order, subscription-identifiers a
              list of numbers
  size        of the payload, in bytes
  encoding    "json", "text" or "base64"
  payload     JSON with every digit as it came, a string, or base64
  raw         the text of JSON that other programs would write otherwise: with
              blanks, members that repeat, numbers such as 1.0 and 1e5
  format, value, notation, notes, problem
              what --payload has made of it: the pipeline, JSON, the text where
              JSON cannot say it, what is odd, why there is no value

iotctl schema prints the JSON Schema of it, which has a version.

iotctl pub --jsonl sends such objects, so that this carries messages from one
broker to another and changes no byte of them:

  iotctl sub -h A -V 5 -t '#' --retain-as-published -o jsonl |
    jq '.topic |= "from-a/" + .' | iotctl pub -h B -V 5 --jsonl

jq may spread objects over lines. time, mid, size, subscription-identifiers and
topic-alias are not sent. Without --retain-as-published a broker passes live
messages on without their retain flag. raw is what is sent, unless payload has
been changed to say something else: whoever sorts the members of a payload that
has no raw, as jq -S does, changes its bytes. With --payload RULE and no
payload in the object, value is encoded.

By hand it is enough to write {"topic":"a","payload":"21.5"}: a payload without
encoding is text if it is a string and JSON otherwise. Topic, QoS, retain and
properties that an object lacks are those of the command line, and members that
nobody knows are skipped. An object that is wrong ends the run with code 5, the
number of the line and the byte; --skip-bad goes on, and ends with 5 all the
same.

` + showLanguage,
		Example: `  iotctl sub -t 'sensors/#' -F '@Y-@m-@dT@H:@M:@S.@N@z %t %p'
  iotctl sub -t '#' -F '%-40t %6l %.2 x'
  iotctl sub -t 'sensors/#' -o jsonl
  iotctl sub -t 'sensors/#' --jq '[.topic, .payload.temp]'
  iotctl sub -t 'sensors/#' --jq '.topic / "/" | .[1]' --raw-output
  iotctl sub -t 'sensors/#' --jq 'select(.payload.temp > 30)' -o json
  iotctl sub -t 'sensors/#' --template '{{strftime "%H:%M:%S" .time}} {{level 1 .topic | pad 8}} {{.payload.temp}}'
  iotctl sub -t 'sensors/#' -o csv --columns 'time,sensor=topic[1],payload.temp'
  iotctl sub -t 'sensors/#' -o tsv --columns topic,properties.content-type,size
  iotctl sub -t 'config/#' --diff
  iotctl sub -t 'raw/#' --payload 'raw/+=gzip|json' --jq .value`,
	}
}
