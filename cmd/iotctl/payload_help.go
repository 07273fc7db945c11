package main

import (
	"strings"

	"github.com/spf13/cobra"
)

// newPayloads is a help topic: a command without a run function. A test runs
// what stands behind the dollar signs.
func newPayloads() *cobra.Command {
	var b strings.Builder
	b.WriteString(`What a payload is stands in no packet, so rules say it. --payload of sub, get,
request and their like reads payloads, and that of pub makes them; so do the lines
below payload of a profile. iotctl payload tries rules without a broker.

RULES

  FILTER=PIPELINE   for topics that match the filter: sensors/+/raw=gzip|json
  PIPELINE          for every topic: cbor

The option may be given several times; the first rule that matches counts, those of
the command line before those of the profile. A pipeline is steps between bars, in
the order in which a payload is read: any number that unpack, one that reads, any
number that check. Behind the name of a step, and a colon, stands its argument.

  $ iotctl payload encode 'gzip|json' -m '{"temp":21.5}' | iotctl payload decode auto
  {"temp":21.5}

Decoded payloads are printed as JSON, or in the notation of their format, and what
was printed can be typed to make the same payload. Numbers keep every digit, and
members their order. What a rule is wrong about is reported with byte or member, once
for each topic and reason, and printed as it came; --strict-payload ends the program
instead. An empty payload is left alone by formats in which nothing means nothing.

FORMATS

`)
	var list strings.Builder
	_ = listPayloads(&list, false)
	for line := range strings.Lines(list.String()) {
		b.WriteString("  " + line)
	}
	b.WriteString(payloadFormatsHelp)
	return &cobra.Command{
		Use:   "payloads",
		Short: "What --payload reads and makes: rules, pipelines, formats",
		Long:  strings.TrimRight(b.String(), "\n"),
	}
}

const payloadFormatsHelp = `
AUTO

auto goes by the content type of MQTT 5.0, then by what the bytes are like: what is
packed, JSON, printable text, CBOR and MessagePack if the whole payload is a map or
an array of it, with text in it or of more than four bytes, and hex at last. It is a
guess, and the label says so. It unpacks at most three times, and makes payloads of
what is typed as it is.

  $ iotctl payload decode auto --hex -m 82a474656d70cb4035800000000000a2696407 -o json
  {"format":"msgpack (guess)","value":{"temp":21.5,"id":7},"notation":"{\"temp\": 21.5, \"id\": 7}"}

CBOR AND MESSAGEPACK

Both are shown and typed in the diagnostic notation of RFC 8949, of which JSON is a
part:

  $ iotctl payload decode cbor --hex -m a3616101014200ff627473c11a69211b00
  {"a": 1, 1: h'00ff', "ts": 1(1763777280)}
  $ iotctl payload encode cbor -m "{1: 'raw', 2: 21.3_2, 3: [_ true, null]}" --hex
  a3014372617702fa41aa6666039ff5f6ff

  h'00ff' 'text' b64'AP8='   bytes                <<1, 2>>   bytes that are CBOR
  1(1763777280)              a tag                simple(99) undefined NaN Infinity
  1_1 21.3_2 [_1 1]          widths: _0 _1 _2 _3 are 1, 2, 4 and 8 bytes
  [_ 1] {_ 1: 2} (_ 'a','b') without a length     dt'2026-11-22T02:50:00Z'   a time
  ext(5, h'00')              MessagePack only     / comment /   # comment

What has no width is as short as it can be. The value for jq is what JSON can say:
without tags, bytes as Base64, keys that are no text in notation.

STRUCT

Fields stand one behind the other. All of them have names, and JSON has an object,
or none has, and it has a list, or the one value:

  $ iotctl payload decode 'struct:>i16:temp*0.1 u3:mode{0:off,1:heat} u5:fan' --hex -m 00d729
  {"temp":21.5,"mode":"heat","fan":9}
  $ iotctl payload encode 'struct:<f' -m 21.5 --hex
  0000ac41
  $ iotctl payload decode 'struct:u8:n (u8:id u16:v/100)[n]:all' --hex -m 02010866020867
  {"n":2,"all":[{"id":1,"v":21.50},{"id":2,"v":21.51}]}

  > <                  big endian (from the start) and little endian, from here on
  u1 … u64, i1 … i64   integers of so many bits, where the last field ended; with
                       little endian from the lowest bit of each byte up
  f16 f32 f64          floats             flag bool    a bit, a byte
  str[8] strz          text of 8 bytes, up to a zero; bytes[8] hex[8] pad[8]
  bBhHiIlLqQefd?sx     as in Python: >HhI, 4s2x
  ( … )                a group, an object of its own
  [3] [name] []        so many, as many as a field before it says, up to the end
  :name                :_ for what nobody wants to know
  *0.1 /10 +5 -40      value = number * scale + offset, with the decimals of these;
                       what is typed is rounded to the nearest
  {0:off,1:on}         names of values
  struct:@FILE         fields in a file, comments behind #

PROTOBUF, AVRO, SPARKPLUG

protobuf:reading.proto:acme.Reading reads by source, with imports from the same
directory and from those named behind the message, or by a descriptor set. Without a
file names and types are guessed. avro:reading.avsc reads bare data, avro-single that
with a fingerprint, avro-registry that with the identifier of a schema registry.

spBv1.0/#=sparkplug learns names and types of aliases from births, and notes gaps in
sequence numbers and messages of nodes whose birth it has not seen.

SCHEMA

json|schema:FILE checks the value by a JSON Schema, 2020-12 or draft 7, both when
reading and when making payloads. References go to files beside it. Of format
date-time, date, ipv4, ipv6 and uuid are checked; patterns are those of RE2.

LIMITS

What comes out of a step is at most 64 MB, a payload has at most 1048576 values,
128 in each other, a check takes at most 4 million steps.
`
