using System.IO.Compression;

namespace KvmPortal.Host.Benchmarks;

/// <summary>
/// The workload of "measured loss": one static x86-64 program that runs as a process on the host and as the first process of a throw-away guest. Its source, and how it was made, is benchmark.c
/// beside this file; no compiler is needed where the portal runs.
/// </summary>
internal static class BenchmarkProgram
{
    /// <summary>SHA-256 of the program.</summary>
    public const string Digest = "44f5a07db85d64151bc479e9aca2f8e0ac4701fe4577439a91b74306bebbc64c";

    private const string Packed =
        "H4sIAAAAAAACA6VXf1BUxx3fd9yhIrJoTKudJJzNyyhpQJ7jH16Czr1yF/f0acyorf2jrciPSkfBwp3R1ir07irP8xlb7UymP6Zjp03baR3bmYRcUOBO5BDTdBQnaqTKxSLhuGAxWECiXL/ffe/wQGs6052523273/3+/Ox3v7" +
        "vPqbxsEgSSbCayguDXILHzb7sxb6UTJDC3jKTBfzqxcFoLSW32Sf35LDKpJ9l6h/vS4Rc15qPP2Cf1yWbdMXnfqzfdpenkf2/ZU76Z+jHz9gz2HYUxzbGTyDSroq0UmH9498zISiEPPkxs5Dpref9vensXNS3Ppzk+Y/8gG/mY" +
        "hfvTmGb+KRNCLDfC1LPeSIG93p15mamXmDcM7Do9H7CSUZeWSRQ1xLQNhVfKaY4DZDZUJ5g3JDBvv2Cv35FgtrOeuEszL2vV1+WvO6VOpxRySh3y14ILQaK8Ud6wkan310tdTO1m6nWmXmV1n/SB16mFqQ5xEfOOCtR3bjpo5/" +
        "0hEeihjDRC2i1ParqbWcCZjXTTmeYTowLaYBabv5FlJydnwnIT0sRn5LYyIeLv2vs0K1nefRCISi5OaMLUPhDlD+27Wk6rLGomKNXCOZcsDyJpYKkItEiK1Io6BtSok/8F0Enqog263MIM6vulCfpZ1HcUeu9ne/dlgBxvq1Dv" +
        "mLsZuH0XuE1IlUITnNynWElrxGHeTPxd1FcDe2v3iJurqX+rCV26QSxmmkMsrh2zgsxpqfGiDesE9DcsuYe0Vedr786g+6+DMtIw97e3v4BpmQ08JLS5k2lLV9GGbJ1w5w3OcC0yfCw/FAlmPuD3iwf8nnqI3/TH8XNKPUD52v" +
        "PJdeC3Wsv8bZKfoomp/FzhnjksUCi+WwukUmiI/YnVjSdyCHltiXoboAoOBHeycF86u3gjGcujZzAYUoIF5orB92BjMzEjloI8pGobAJu4bGdq7rCApekATNnaqK9pBgz8IfcC8JAfFdPDhH8dLLD8V0AXRDRRi9z4Zb7cEZxB" +
        "uBht6XHc4GoPJaA1phEduJYK5L1cGEwk6I9uouh2y6oD+iltLkN0YmqIP6GfCwOe9FD9/UQCkFJ4YDJEFXVUh+ilWDlQSMPgSKkr1j0O1Abs2y1pB4wT0Q6noRRE4EmI3b6XSEzEg+OLi+iKOJ7abODM9wZOefeIiwRPzoTM4B" +
        "9hQ8vx6x+NN1fMn7Oo8R/jC4qoBVeTBIXco5gVqCU+jvmGqXkVKrpygPq+AO7wDghgWOO3hyoLuZ3qBQi1ue70rPL5ZEFMZfeYbdDT3+hGZbU/i1FgGMzgucvIR97TQr0TujaBNph8Ic+tB9J70P+digoecIvrqEWpKBXXkXM/" +
        "f0lJKxU3MTTVB5FnQcf3W97T7DZBGoZgtjx9bdsrP7njfI7rw9TTLHxjFpPO81H/NCadZup5Fo7ONuboictMuMDUczwpSuf+AEB1nmPeiMBsQ54WuamHw2FY14sJs3bXc3goal9SNUX9FIJX4da1Y2lu0E79l5Lb2/fNsUTCiY" +
        "lAJ2RqK9AqPB0FZi0CRo3RI2ZAPqvYlty8TdxEc0jAXAcZ1jMqn9LFDyTFW8b2G+KjD8T3Pyy+m+Xe6rt+92Hx/bCTiz8GjJSA5TfQNZsxFJN0gFOkAbAANdFBl7aHZDN/B/XtgXyFsk8n4+cIrDIHTBDFbEU4Cx+jencPOiaE" +
        "mW3Mc817S/C8D36T96ckRyO4hv4JPFDdclMht7UHvD3FHLBlDtiC10A2jyukq1yHWDCZH9oJlwvwtEM66OXgvQ6Xl1iAttmTtjFYRHLDJ1fReY6kNAdK62N51mPTCKOs1SVEIJkoVInKgHXPfhZU6/XGAtvEbNdIL4Qar83wLU" +
        "tf5Wgioai9rvYzZBC1bZfrerrz7aRvIyywwB5xOsYQVEQ7mk1QKgRNRjppg8NP69/C85E0RUc9C4BuAICTtgKc7nU1v1L3nZG9P7DMbcTqgEt3iPOQbBOOrPFnAT/BOTrf5UjjWS3D+ZLr7mP2oL5BtD2Yt+9nSt6dVzcZaZWe" +
        "uKIIQy71qivc/6RcdwMMIPJwm+B5Ozg7hZX77dT8kMZdDMmBtUcwOaKJ2X1bRzBpHeSHPUIyeO7PPau2goGHVHSE+vf4XJqDOf9BXtwxyvOi6P+veXEtUACWqO8v9/nA82nsTRgZl9iP49zFE3cJ5s9hqQuulNhfATmP1Jp7Wq" +
        "8EDF8DDuZxHAQU0ToFg4Do3EhsfgKPFObmIn64emIvIfuO2MXPEomIQ9xMYkf4oTekNe6D1NdcD38tKvwFf0cwk9t8eianlhYNZ038GoMpHY5qO0fDfJhujq61pxybD4GwEWtT7hV6aFjAy7jSchSMctB3njsMvTQgNyGd3IKE" +
        "TA1LIQdtODy0FnPwG9jJtWP51JcFe7337dRngYG2UcCcjnWlUnJNnSvykssV/me6q671zRV2ot9jSsm/nbRhJhwFRb3qUM+71CtOX6fHGl9o1H+0wS64IOKKtkrwhajvCROi9hwokCEvC7u7HcvOUi0TJtdoRWMubf2LUqhcpl" +
        "WZhOZmQh4JZUO9ZPd84vLG7f4Bz2G44xHZcG6G16i3XeGP0sud6rEe1Eeme+uiMAD51NcJJsi8AojPwXsKVXB5R23UdxwmV9YfFW4C6cu0YW4a6guHOZS+piTkCvemqx8URXwFyInQdw4PopeE81DX0oOR8ZRA8nyP9ZwaRs+/" +
        "/ntY9A+4d7GStpO4WT6FN7LcgqGE6yW9yYYqNSPYFO2FeSkABEzzSvhSMtK7nmfIvJfHdHcGfDSaOTgmbRrUd3hb7Yot7jnBMTOx3HIEhEM+VSOcya5M1fJhHVzHlst1qMU6rEcWJatlrIJrsJA2Kgu5CXnJp/SMaRbjz07UE1" +
        "hkpegQhXRDLd644M5L3ohJ14wwvAVprlGjgw6tYF3QKJewYkElYkV3oF7KAaw2rBIQCwfvwBlORjk2D5wqB1fAnti3+BDfSrH1WAUBOv1vQWaJ/Xo4pd5h6qiimb/I1LvwZnFnHcbXi73+ewnFFvYMtZYfhnVc+JLUoeMT5Jqz" +
        "HPXm6fyZY7vgudU66X21uLRs5+KdpcUkY/W6r1qry4pLd2cQHFZWWbeXba+qhk99qcpTWUqA2r19R3kN30cWb68q1YeL3e7d6wuQH04tfvhdVzs4Zpr0ToTrBtvKoqIXrYscZVsqiiut0pL8JfkFedLSr5SWbZGWeKRcY4qQ/J" +
        "qtNe5qd/EWku8u2+Um+dVVpcXuYpK/paaG5JdUbd9eVukm/3+bmfLWJSnv6kHje/2sx79XZxv7k8YiBvTe8MPnvHfnww8eYSSNTHlnZ015Xyf9OGX/M4b8ginzyff8winzwiP6tEf4ZeRz9ifbfwCYRR7YoBAAAA==";

    public static byte[] Bytes()
    {
        using var packed = new GZipStream(new MemoryStream(Convert.FromBase64String(Packed)), CompressionMode.Decompress);
        using var plain = new MemoryStream();
        packed.CopyTo(plain);
        return plain.ToArray();
    }
}
