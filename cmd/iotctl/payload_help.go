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

PROTOBUF

  protobuf:FILE.proto:acme.Reading      by source; imports are looked for in the
                                        directory of FILE, in those above it, and in
                                        those behind the message, as in :include:api
  protobuf:FILE.binpb:acme.Reading      by a descriptor set of protoc
  protobuf                              by guess, with a question mark behind guesses

  $ iotctl payload decode protobuf --hex -m 0a026b31150000ac411801
  {"1:string?":"k1","2:float?":21.5,"3:varint":1}

proto2, proto3 and editions; the message may lack its package, and be left out if
there is but one. Values are those of protobuf's JSON: names in camel case, enums by
name, Timestamp as RFC 3339, Any by its type if the files have it. But members stand
in the order of the wire, what was not sent is not shown, and integers of 64 bits are
numbers. Fields that the schema does not know are members as above, with a note.

AVRO

  avro:place.avsc,reading.avsc          bare data by the last file, which may use the
                                        types of those before
  avro-single:v1.avsc,v2.avsc           C3 01, fingerprint, data (single-object
                                        encoding) by the schema that has it
  avro-registry:17:v1.avsc,18:v2.avsc   00, id of a schema registry, data; without an
                                        id the file reads all, and a note has the id

When payloads are made, the last file counts; fields that are missing have their
defaults. Dates, times, decimals, UUIDs and durations are text and exact numbers. Of a
union of null and one type the value stands alone, of others as {"string":"x"}.

SPARKPLUG B

spBv1.0/#=sparkplug goes by the topic: births teach names and types of aliases to
what follows of their edge node, gaps in seq and deaths of another session are noted,
and without a birth the note has the command that asks for one. STATE is JSON or, of
2.2, ONLINE and OFFLINE. Times are milliseconds since 1970; when made also RFC 3339
or "now".

  $ iotctl payload encode sparkplug -m '{"metrics":[{"alias":1,"datatype":"Int8","value":-5}],"seq":7}' --hex
  120a1001200150fbffffff0f1807
  $ iotctl payload decode sparkplug --hex -m 120a1001200150fbffffff0f1807
  {"metrics":[{"alias":1,"datatype":"Int8","value":-5}],"seq":7}

A metric has name, alias, timestamp, datatype, is_historical, is_transient, metadata,
properties and value. A value that is not of its type stands in a member named after
its field, such as int_value. The births of 4096 edge nodes are kept, 64 MB of names.

SCHEMA

json|schema:FILE checks the value by a JSON Schema, 2020-12 or draft 7, both when
reading and when making payloads. References go to files beside it. Of format
date-time, date, ipv4, ipv6 and uuid are checked; patterns are those of RE2.

LIMITS

What comes out of a step is at most 64 MB, a payload has at most 1048576 values,
128 in each other, a check takes at most 4 million steps.
`
