//! The messages of the greeter. Written by hand, so that no compiler of protocol files is needed.

/// What a client says.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloRequest {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// What the greeter replies.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloReply {
    #[prost(string, tag = "1")]
    pub message: String,
}

/// The path of the service's one call.
pub const PATH: &str = "/helloworld.Greeter/SayHello";

/// The reply to a name.
pub fn greeting(name: &str) -> String {
    format!("Hello {name}!")
}
