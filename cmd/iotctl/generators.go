package main

import "github.com/spf13/cobra"

// newGenerators is a help topic: a command without a run function.
func newGenerators() *cobra.Command {
	return &cobra.Command{
		Use:   "generators",
		Short: "What pub --generate and --rows make topics and payloads of",
		Long: `The argument of --generate is sent as payload, and that of -t is where to. In both,
what stands between {{ and }} is replaced for each message:

COUNTERS AND TIME
  n [START [STEP [END]]]  a counter, from 1; behind END it begins again
  time [FORM]             now, in UTC. FORM is rfc3339 (the default), date, clock,
                          unix (seconds), seconds (with a fraction), ms, us, ns
                          (since 1970), or a layout such as '02.01.2006 15:04'
RANDOM
  int MIN MAX             a whole number, both ends included
  float MIN MAX
  normal MEAN DEVIATION
  bool [PROBABILITY]      true or false; of true 0.5
  hex BYTES
  uuid                    of version 4
  choice A B:3 'c d'      one of the words; B three times as often as A
SERIES
  walk START STEP         up to STEP away from the message before on this topic
  sine MEAN AMPLITUDE PERIOD
  drift START CHANGE      changes as in 0.5/h or -2/min
PLACES
  topic [LEVEL]           the topic of this message, or a level of it, from 1
  .NAME .A.B              of --rows: a column, or a member, or one within another
  field 'NAME'            the same for any name
  row                     the row as a JSON object; numbers are numbers
  json ...                any of these as a JSON value: numbers as they are, text
                          in quotation marks
  'text'                  text, as in {{'{{'}}

Words stand between blanks, or in single or double quotation marks. float, normal,
walk, sine and drift also take min=, max=, noise= (its standard deviation) and
digits= (behind the point, 2 at most unless given); sine takes phase=.

In the shell, put templates in single quotation marks.

--rate 10/s sends by a schedule that does not slip: when the broker or the network
is slow, messages that are late follow at once, and that this happened is told.
--for 30s ends the sending, --repeat counts messages, or with --rows passes over
the file. Without any of these --generate sends one message and --rows each row
once; with --rate alone it goes on until Ctrl-C, or through the rows.

sine and drift follow the schedule. Without --rate each message counts as a second.
With --seed the same command sends the same messages, but for the time.

--rows reads CSV, whose first line names the columns and which comma, semicolon or
tab separates, or JSON objects, one in a line. In CSV, what is written as a number
in JSON is one in row and json: 21.50 is, and 007 is not.

With --payload the text is encoded: --generate '{"t":{{walk 20 0.5}}}' --payload
cbor sends CBOR.`,
		Example: `  iotctl pub -t sensors/1 --generate '{"n":{{n}},"t":{{walk 20 0.5 min=0}}}' --rate 10/s --for 30s
  iotctl pub -t 'plant/{{n 1 1 20}}/temp' --generate '{{sine 20 5 24h noise=0.2}}' --repeat 20
  iotctl pub -t 'door/{{choice front back:3}}' --generate '{{json choice open closed}}' --seed 7 --repeat 5
  iotctl pub -t 'meters/{{.id}}' --rows meters.csv
  iotctl pub -t 'meters/{{.id}}' --rows meters.csv --generate '{"kwh":{{.kwh}},"at":{{time ms}}}' --rate 5/s`,
	}
}
