//! DNS messages: reading a query, writing a response, EDNS.
