// A schema registry for tests: franz-go's, in memory, on the address that is given. What it asks
// for as the header Authorization may follow.
package main

import (
	"log"
	"net"
	"net/http"
	"os"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

func main() {
	var options []srfake.Option
	if len(os.Args) > 2 {
		options = append(options, srfake.WithAuth(os.Args[2]))
	}
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Printf("serving on %s", listener.Addr())
	log.Fatal(http.Serve(listener, srfake.NewRegistry(options...).Handler()))
}
